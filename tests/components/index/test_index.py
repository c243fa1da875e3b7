import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from components.config import IndexConfig
from components.errors import ArtifactError
from components.index.index import (
    EFFORT_FILE,
    IDS_FILE,
    MISSING,
    OVERSAMPLING,
    SCANN_FOLDER,
    VECTORS_FILE,
    Effort,
    ExactIndex,
    Index,
    ScannIndex,
    kind_of,
    load_vectors,
    recall_against,
    save_vectors,
)

ITEMS, DIM = 400, 8
BRUTE_FORCE, TREE = IndexConfig(), IndexConfig(exact_below=0)


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(ITEMS, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    return np.random.default_rng(4).normal(size=(30, DIM)).astype(np.float32)


@pytest.mark.parametrize("build", [ExactIndex, lambda vectors: ScannIndex.build(vectors, BRUTE_FORCE)])
def test_exhaustive_search_finds_the_best(
    build: Callable[[NDArray], Index], vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    truth = queries @ vectors.T
    rows, scores = build(vectors).search(queries, 7)
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(rows, np.argsort(-truth, axis=1)[:, :7])
    np.testing.assert_allclose(scores, -np.sort(-truth, axis=1)[:, :7], rtol=1e-4, atol=1e-5)


def test_more_queries_than_are_scored_at_once(vectors: NDArray[np.float32]) -> None:
    queries = np.random.default_rng(5).normal(size=(1_100, DIM)).astype(np.float32)
    rows, _ = ExactIndex(vectors).search(queries, 1)
    np.testing.assert_array_equal(rows[:, 0], np.argmax(queries @ vectors.T, axis=1))


def test_of_equal_items_any_are_returned_but_each_once() -> None:
    # Scores 2, 1, 1, 1, 0 for the query: the first, and two of the three that tie.
    vectors = np.array([[0.0], [1.0], [2.0], [1.0], [1.0]], np.float32)
    rows, scores = ExactIndex(vectors).search(np.ones((1, 1), np.float32), 3)
    np.testing.assert_array_equal(scores, [[2, 1, 1]])
    assert rows[0, 0] == 2
    assert len(set(rows[0, 1:]) & {1, 3, 4}) == 2


@pytest.mark.parametrize("build", [ExactIndex, lambda vectors: ScannIndex.build(vectors, BRUTE_FORCE)])
def test_more_wanted_than_there_are(build: Callable[[NDArray], Index]) -> None:
    vectors = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]], np.float32)
    rows, scores = build(vectors).search(np.array([[1.0, 0.0]], np.float32), 10)
    np.testing.assert_array_equal(rows, [[1, 2, 0]])
    np.testing.assert_allclose(scores, [[3, 2, 1]])


def test_a_tree_that_finds_too_few_says_so(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    """20 leaves of which 5 are searched hold about a quarter of the items: all 400 cannot be found."""
    index = ScannIndex.build(vectors, TREE)
    index.effort = Effort(leaves=5, oversampling=2)
    rows, scores = index.search(queries, ITEMS)
    truth = queries @ vectors.T
    for line, score, exact in zip(rows, scores, truth, strict=True):
        found = line[line != MISSING]
        assert 0 < len(found) < ITEMS
        assert len(set(found)) == len(found)
        np.testing.assert_array_equal(line[len(found) :], MISSING)
        np.testing.assert_array_equal(score[len(found) :], -np.inf)
        np.testing.assert_allclose(score[: len(found)], exact[found], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [BRUTE_FORCE, TREE])
def test_saved_moved_and_loaded_it_finds_the_same(
    settings: IndexConfig, tmp_path: Path, vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    index = ScannIndex.build(vectors, settings)
    index.effort = Effort(leaves=5, oversampling=3)
    index.save(tmp_path / "first")
    shutil.move(tmp_path / "first", tmp_path / "elsewhere")
    for k in (10, 150):
        for made, wanted in zip(
            ScannIndex.load(tmp_path / "elsewhere", ITEMS).search(queries, k), index.search(queries, k), strict=True
        ):
            np.testing.assert_array_equal(made, wanted)


def test_tuned_it_searches_as_little_as_is_enough(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    exact, whole = ExactIndex(vectors), ScannIndex.build(vectors, TREE)
    leaves = {}
    for wanted in (0.1, 0.7):
        tuned = whole.tuned(exact, queries, 10, IndexConfig(min_recall=wanted, max_leaf_share=1))
        leaves[wanted] = tuned.effort.leaves
        assert recall_against(exact, tuned, queries, 10) >= (1 + 2 * wanted) / 3
        tuned.effort = Effort(tuned.effort.leaves - 1, tuned.effort.oversampling)
        assert tuned.effort.leaves == 0 or recall_against(exact, tuned, queries, 10) < (1 + 2 * wanted) / 3
    assert leaves[0.1] < leaves[0.7] < whole.effort.leaves == 20


def test_what_cannot_be_reached_is_tried_with_all_that_is_allowed(
    vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    tuned = ScannIndex.build(vectors, TREE).tuned(ExactIndex(-vectors), queries, 10, IndexConfig(max_leaf_share=0.25))
    assert tuned.effort == Effort(leaves=5, oversampling=OVERSAMPLING[-1])


def test_kinds() -> None:
    assert kind_of(99, IndexConfig(exact_below=100)) == "brute_force"
    assert kind_of(100, IndexConfig(exact_below=100)) == "tree_ah"


class Fixed:
    """Answers what it was given."""

    def __init__(self, rows: list[list[int]]) -> None:
        self._rows = np.array(rows, np.int32)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return self._rows[:, :k], np.zeros(self._rows[:, :k].shape, np.float32)


def test_recall_is_the_mean_share_that_is_found() -> None:
    # 2 of 3, in whatever order, and 1 of 3: their mean is 1/2. A missing place is never a hit.
    exact, other = Fixed([[1, 2, 3], [4, 5, 6]]), Fixed([[3, 1, 9], [6, MISSING, MISSING]])
    assert recall_against(exact, other, np.zeros((2, 1), np.float32), 3) == pytest.approx(0.5)


def test_vectors_come_back(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    ids = [f"i{row}" for row in range(ITEMS)]
    save_vectors(tmp_path / "index", vectors, ids)
    loaded, loaded_ids = load_vectors(tmp_path / "index")
    np.testing.assert_array_equal(loaded, vectors)
    assert loaded_ids == ids


@pytest.mark.parametrize("file", [VECTORS_FILE, IDS_FILE])
@pytest.mark.parametrize("left_bytes", [None, 0, 20])
def test_damaged_vectors_are_refused(tmp_path: Path, vectors: NDArray[np.float32], file: str, left_bytes: int | None) -> None:
    save_vectors(tmp_path, vectors, [f"i{row}" for row in range(ITEMS)])
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).unlink()
    if left_bytes is not None:
        (tmp_path / file).write_bytes(whole[:left_bytes])
    with pytest.raises(ArtifactError, match=rf"{tmp_path}: is no readable item index .*build it again"):
        load_vectors(tmp_path)


def test_vectors_and_ids_must_be_as_many(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    save_vectors(tmp_path, vectors, ["only one"])
    assert json.loads((tmp_path / IDS_FILE).read_text()) == ["only one"]
    with pytest.raises(ArtifactError, match="holds 400 vectors and 1 item ids"):
        load_vectors(tmp_path)


@pytest.mark.parametrize(
    "file", ["scann_assets.pbtxt", "scann_config.pb", "dataset.npy", "ah_codebook.pb", "serialized_partitioner.pb", EFFORT_FILE]
)
def test_a_damaged_index_is_refused(tmp_path: Path, vectors: NDArray[np.float32], file: str) -> None:
    ScannIndex.build(vectors, TREE).save(tmp_path)
    path = tmp_path / SCANN_FOLDER / file
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=rf"{tmp_path / SCANN_FOLDER}: is no readable ScaNN index"):
        ScannIndex.load(tmp_path, ITEMS)
    path.unlink()
    with pytest.raises(ArtifactError, match="build it again"):
        ScannIndex.load(tmp_path, ITEMS)


def test_an_index_of_other_items_is_refused(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    ScannIndex.build(vectors, BRUTE_FORCE).save(tmp_path)
    with pytest.raises(ArtifactError, match="holds 400 items, wanted 401"):
        ScannIndex.load(tmp_path, ITEMS + 1)
