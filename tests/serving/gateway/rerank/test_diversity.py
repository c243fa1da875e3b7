"""MMR and DPP: by hand, and against definitions that are too slow to serve."""

from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.gateway.rerank.diversity import SPARE_PLACES, dpp, dpp_step, mmr, mmr_step, relevance
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.settings import Diversity


def unit(*vectors: list[float]) -> NDArray[np.float64]:
    of = np.array(vectors, np.float64)
    return of / np.linalg.norm(of, axis=1, keepdims=True)


def a_list(seed: int, count: int = 12, dim: int = 6) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.random(count), unit(*rng.normal(size=(count, dim)))


def test_mmr_by_hand() -> None:
    """A (1.0), B (0.9), C (0.6); B is like A (0.8), C like neither (0.0 to A, 0.5 to B); λ = 0.5.

    A comes first. Then B: 0.45 - 0.5 · 0.8 = 0.05, C: 0.3 - 0 = 0.3, so C, of which nothing like it is above; then B, like A.
    """
    vectors = np.linalg.cholesky(np.array([[1, 0.8, 0], [0.8, 1, 0.5], [0, 0.5, 1]]))  # their dot products are the matrix
    order, alike = mmr(np.array([1.0, 0.9, 0.6]), vectors, 0.5, 3)
    assert order.tolist() == [0, 2, 1]
    assert alike.tolist() == pytest.approx([0, 0, 0.8])


@pytest.mark.parametrize("seed", range(20))
def test_mmr_is_its_definition(seed: int) -> None:
    rel, vectors = a_list(seed)
    similarity = vectors @ vectors.T
    trade_off = 0.1 + 0.04 * seed
    chosen: list[int] = []
    while len(chosen) < 8:
        value = {
            i: trade_off * rel[i] - (1 - trade_off) * (max(similarity[i, j] for j in chosen) if chosen else 0)
            for i in range(12)
            if i not in chosen
        }
        chosen.append(max(value, key=value.__getitem__))
    assert mmr(rel, vectors, trade_off, 8).order.tolist() == chosen


def test_dpp_by_hand() -> None:
    """All equally relevant: the first is taken, then the one that spans the largest square with it: at a right angle."""
    order, new = dpp(np.zeros(4), unit([1, 0], [1, 1], [0, 2], [1, -0.1]), 0.5, 2)
    assert order.tolist() == [0, 2]
    assert new.tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("seed", range(20))
def test_dpp_adds_most_to_the_objective_each_time(seed: int) -> None:
    """θ Σ rel + (1 - θ) log det S, the determinant computed anew for every item that could be next."""
    rel, vectors = a_list(seed)
    similarity = vectors @ vectors.T
    trade_off = 0.1 + 0.04 * seed
    chosen: list[int] = []
    for _ in range(5):
        value = {}
        for i in set(range(12)) - set(chosen):
            of = [*chosen, i]
            value[i] = trade_off * rel[of].sum() + (1 - trade_off) * np.linalg.slogdet(similarity[np.ix_(of, of)])[1]
        chosen.append(max(value, key=value.__getitem__))
    order, new = dpp(rel, vectors, trade_off, 5)
    assert order.tolist() == chosen
    assert np.prod(new) == pytest.approx(np.linalg.det(similarity[np.ix_(chosen, chosen)]))


@pytest.mark.parametrize("seed", range(20))
def test_dpp_is_near_the_best_of_all_sets(seed: int) -> None:
    """Of all sets of three that hold the best item, which greed takes first, its set has at least 3/4 of the largest
    determinant of the kernel exp(rel_i / 2) · S_ij · exp(rel_j / 2)."""
    rel, vectors = a_list(seed, count=8)
    similarity = vectors @ vectors.T
    rel[0] = 2.0
    order, _ = dpp(rel, vectors, 0.5, 3)

    def determinant(of: tuple[int, ...]) -> float:
        return float(np.exp(rel[list(of)].sum()) * np.linalg.det(similarity[np.ix_(of, of)]))

    best = max(determinant((0, *pair)) for pair in combinations(range(1, 8), 2))
    assert order[0] == 0
    assert determinant(tuple(order.tolist())) >= 0.75 * best


def test_dpp_ends_where_nothing_new_is_left() -> None:
    """Four vectors of a plane span it with two."""
    order, _ = dpp(np.array([1.0, 0.9, 0.8, 0.7]), unit([1, 0], [1, 0], [1, 1], [3, 1]), 0.5, 4)
    assert len(order) == 2
    assert order[0] == 0


def test_dpp_passes_over_a_copy_however_relevant() -> None:
    """θ = 0.99 makes relevance 1 worth e^99; a copy of what is above still adds no volume at all."""
    order, _ = dpp(np.array([1.0, 1.0, 0.0]), unit([1, 0], [1, 0], [0, 1]), 0.99, 3)
    assert order.tolist() == [0, 2]


def test_relevance_is_the_scores_stretched() -> None:
    assert relevance(np.array([-3.0, 1.0, -1.0])).tolist() == [0, 1, 0.5]
    assert relevance(np.full(3, 7.0)).tolist() == [0, 0, 0]


def context(vectors: NDArray[np.float64], count: int) -> Context:
    release: Any = SimpleNamespace(vectors=vectors.astype(np.float32))
    return Context(release, 0, count)


@pytest.mark.parametrize(("method", "step"), [("mmr", mmr_step), ("dpp", dpp_step)])
def test_a_step_moves_a_copy_down_and_says_why(method: Any, step: Any) -> None:
    """Rows 0 and 1 are one item twice; row 3 has no vector."""
    vectors = np.array([[2.0, 0], [4, 0], [0, 1], [0, 0]])
    ranked = Ranked.by_score(np.arange(4, dtype=np.int32), np.array([4.0, 3.9, 3.0, 1.0]), {})
    after = step(ranked, context(vectors, 4), Diversity(method=method, relevance=0.4))
    assert after.rows.tolist() == [0, 2, 3, 1]
    assert after.score.tolist() == [4.0, 3.0, 1.0, 3.9]
    why = {"mmr": "cosine of at most 0.00 with those above", "dpp": "100% of it is not in those above"}
    assert after.reason(2) == why[method]
    copy = {"mmr": "cosine of at most 1.00 with those above", "dpp": "others took the first places"}
    assert after.reason(1) == copy[method]


@pytest.mark.parametrize(("method", "step"), [("mmr", mmr_step), ("dpp", dpp_step)])
@pytest.mark.parametrize("seed", range(10))
def test_a_step_keeps_every_item_and_the_best_first(method: Any, step: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 80))
    rows = rng.permutation(80)[:count].astype(np.int32)
    ranked = Ranked.by_score(rows, rng.normal(size=count), {"click": rng.random(count).astype(np.float32)})
    wanted = int(rng.integers(1, 20))
    after = step(ranked, context(rng.normal(size=(80, 4)), wanted), Diversity(method=method))
    assert sorted(after.rows) == sorted(rows)
    assert after.rows[0] == ranked.rows[0]
    click = dict(zip(ranked.rows, ranked.tasks["click"], strict=True))
    assert [click[row] for row in after.rows] == after.tasks["click"].tolist()
    rest = after.score[wanted + SPARE_PLACES :]
    assert (np.diff(rest) <= 0).all()
