"""The chain: which steps run, in which order, and what is told of each item."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from components.schema.events import MS_PER_DAY
from serving.gateway.api import Change
from serving.gateway.release import Release
from serving.gateway.rerank.chain import explained, steps
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.settings import RerankSettings

ALL: dict[str, Any] = {
    "pinned": {"i2": 1},
    "caps": [{"feature": "genre", "most": 1, "top": 2}],
    "diversity": {"method": "dpp"},
    "popularity": {"strength": 0.1},
    "freshness": {"weight": 1, "half_life_days": 1},
    "combination": {"click": {"weight": 1}},
}


def test_the_order_is_fixed_and_what_is_not_set_is_off() -> None:
    assert steps(RerankSettings()) == []
    names = [step.name for step in steps(RerankSettings.model_validate(ALL))]
    assert names == ["combination", "freshness", "popularity", "dpp", "caps", "pinned"]
    assert [step.name for step in steps(RerankSettings.model_validate({"diversity": {"method": "mmr"}}))] == ["mmr"]


def test_pins_alone_are_never_skipped_and_only_combination_needs_predictions() -> None:
    chain = steps(RerankSettings.model_validate(ALL))
    assert [step.name for step in chain if step.hard] == ["pinned"]
    assert [step.name for step in chain if step.needs_tasks] == ["combination"]


def test_each_change_is_told_with_its_ranks_and_reason() -> None:
    """Scores 3, 2, 1. Freshness lifts row 1 by 0.5, which changes no place, and of nothing as old as the others a trace.

    The cap holds row 1 back behind row 2, of another genre; the pin brings row 2 from the second place to the first.
    """
    old = -10_000 * MS_PER_DAY
    rows = {"i0": 0, "i1": 1, "i2": 2}
    release: Any = SimpleNamespace(
        created_ms=np.array([old, 0, old]),
        items=pa.table({"genre": ["a", "a", "b"]}),
        rows=lambda ids: np.array([rows[each] for each in ids], np.int32),
    )
    settings = RerankSettings.model_validate(
        {"pinned": ALL["pinned"], "caps": ALL["caps"], "freshness": {"weight": 0.5, "half_life_days": 1}}
    )
    first = ranked = Ranked.by_score(np.arange(3, dtype=np.int32), np.array([3.0, 2.0, 1.0]), {})
    trail = []
    for step in steps(settings):
        ranked = step.run(ranked, Context(release, 0, 3))
        trail.append((step.name, ranked))
    assert ranked.rows.tolist() == [2, 0, 1]
    of_2, of_0, of_1 = explained(first, trail, 3)
    assert of_2 == (
        Change(step="caps", from_rank=3, to_rank=2, reason="moved up past capped items"),
        Change(step="pinned", from_rank=2, to_rank=1, reason="pinned to place 1"),
    )
    assert of_0 == (Change(step="pinned", from_rank=1, to_rank=2, reason="made room for pinned items"),)
    assert of_1 == (
        Change(step="freshness", from_rank=2, to_rank=2, reason="0.0 days old: +0.5"),
        Change(step="caps", from_rank=2, to_rank=3, reason="1 of genre=a are above it, the most in 2 places"),
    )
    assert explained(first, trail, 1) == [of_2]
    assert explained(first, [], 2) == [(), ()]


def test_of_an_empty_list_every_step_makes_an_empty_list(release: Release) -> None:
    settings = {**ALL, "combination": {"take": {"weight": 1}}}
    chains = [steps(RerankSettings.model_validate({**settings, "diversity": {"method": method}})) for method in ("dpp", "mmr")]
    for step in chains[0] + chains[1]:
        empty = Ranked.by_score(np.zeros(0, np.int32), np.zeros(0), {"take": np.zeros(0, np.float32)})
        assert len(step.run(empty, Context(release, 0, 10)).rows) == 0, step.name
