"""Caps and pins, by hand and by their promises over random lists."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from serving.gateway.rerank.placement import capped, caps_step, pinned_order, pinned_step
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.settings import Cap


def cap(most: int, top: int, feature: str = "genre") -> Cap:
    return Cap(feature=feature, most=most, top=top)


def order(values: list[str], *caps: Cap) -> list[int]:
    """Of items that have one value each, a letter; a space is none."""
    return capped([[tuple(value.strip()) for value in values]] * len(caps), caps)[0]


def test_what_is_too_much_waits_till_the_cap_ends() -> None:
    # Of the first four, at most two a; the third and the fourth a come right after.
    assert order(list("aaaabcb"), cap(2, 4)) == [0, 1, 4, 5, 2, 3, 6]


def test_an_item_counts_for_each_of_its_values() -> None:
    values = [["a", "b"], ["b"], ["a"], [], ["c"]]
    found, over = capped([values], [cap(1, 3)])
    assert found == [0, 3, 4, 1, 2]
    assert over == {
        1: "1 of genre=b are above it, the most in 3 places",
        2: "1 of genre=a are above it, the most in 3 places",
    }


def test_several_caps_hold_at_once() -> None:
    # One a in the first two places, two a in the first four.
    assert order(list("aaaabc"), cap(1, 2), cap(2, 4)) == [0, 4, 1, 5, 2, 3]
    genre, maker = [tuple(x) for x in "aabb"], [tuple(x) for x in "xyxy"]
    assert capped([genre, maker], [cap(1, 2), cap(1, 2, "maker")])[0] == [0, 3, 1, 2]


def test_a_cap_never_shortens_a_list() -> None:
    found, over = capped([[("a",)] * 4], [cap(1, 3)])
    assert found == [0, 1, 2, 3]
    assert over[1].endswith("; nothing else was left")
    assert "nothing" not in over[3]
    assert order(["a"], cap(1, 10)) == [0]
    assert capped([[]], [cap(1, 10)]) == ([], {})


@pytest.mark.parametrize("seed", range(50))
def test_random_lists_keep_the_caps_wherever_they_can(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    values = [tuple(np.flatnonzero(rng.random(6) < 0.2).astype(str)) for _ in range(count)]
    caps = [cap(int(rng.integers(1, 4)), int(rng.integers(1, 30))) for _ in range(2)]
    found, over = capped([values, values], caps)
    assert sorted(found) == list(range(count))
    for each in caps:
        for top in range(1, min(each.top, count) + 1):
            counts = Counter(value for item in found[:top] for value in values[item])
            if any(many > each.most for many in counts.values()):
                # The cap gave way: some item of these places was put there because nothing else was left.
                assert any("nothing else was left" in over.get(item, "") for item in found[:top])
    # Those that no cap held back stay in their order.
    free = [item for item in found if item not in over]
    assert free == sorted(free)


@pytest.mark.parametrize(
    ("count", "at", "expected"),
    [
        (4, {3: 1}, [3, 0, 1, 2]),
        (4, {0: 3}, [1, 2, 0, 3]),
        (4, {3: 1, 0: 2}, [3, 0, 1, 2]),
        (4, {0: 4, 1: 2}, [2, 1, 3, 0]),
        (3, {0: 9}, [1, 2, 0]),
        (2, {0: 9, 1: 7}, [1, 0]),
        (0, {}, []),
    ],
)
def test_pinned_order(count: int, at: dict[int, int], expected: list[int]) -> None:
    assert pinned_order(count, at) == expected


@pytest.mark.parametrize("seed", range(30))
def test_every_pin_that_fits_is_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 40))
    pins = dict(zip(rng.permutation(count)[:5].tolist(), (1 + rng.permutation(count)[:5]).tolist(), strict=True))
    found = pinned_order(count, pins)
    assert sorted(found) == list(range(count))
    assert {item: found.index(item) + 1 for item in pins} == pins


@pytest.fixture
def context() -> Context:
    items = pa.table({"genre": [["a"], ["a", "b"], None, ["b"]], "maker": ["x", None, "x", "y"]})
    rows = {"i0": 0, "i1": 1, "i2": 2, "i3": 3}

    def known(ids: Any) -> Any:
        return np.array([rows[each] for each in ids if each in rows], np.int32)

    release: Any = SimpleNamespace(items=items, rows=known)
    return Context(release, 0, 4)


def ranked(*rows: int) -> Ranked:
    return Ranked.by_recall(np.array(rows, np.int32))


def test_caps_read_the_catalogue(context: Context) -> None:
    after = caps_step(ranked(0, 1, 2, 3), context, [cap(1, 2)])
    assert after.rows.tolist() == [0, 2, 1, 3]
    assert after.reason(1) == "1 of genre=a are above it, the most in 2 places"
    assert after.reason(2) == "moved up past capped items"
    assert caps_step(ranked(0, 2, 1, 3), context, [cap(1, 3, "maker")]).rows.tolist() == [0, 1, 3, 2]


def test_pins_of_unknown_or_absent_items_do_nothing(context: Context) -> None:
    after = pinned_step(ranked(0, 1, 3), context, {"i3": 1, "i2": 2, "gone": 3})
    assert after.rows.tolist() == [3, 0, 1]
    assert after.reason(2) == "pinned to place 1"
    assert after.reason(0) == "made room for pinned items"
