"""Two indexes with one interface: ``search``, ``save``, ``load``. Rows are places in the catalogue."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from components.config import IndexConfig
from components.errors import ArtifactError

VECTORS_FILE, IDS_FILE, SCANN_FOLDER, FACTS_FILE = "vectors.npy", "item_ids.json", "scann", "index.json"
SCORES_AT_ONCE = 1 << 26
EFFORT_FILE = "effort.json"
MISSING = -1  # the row of a place for which no item was found
OVERSAMPLING = (2, 4, 8, 16, 32, 64)


class Index(Protocol):
    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Rows and scores [num_queries, min(k, number of items)] of the best items, best first.

        Where fewer are found, the rows end with -1 and the scores with minus infinity.

        Args:
          queries: float32 [num_queries, dim].
        """


class ExactIndex:
    """Scores every item. The truth that other indexes are measured by."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        k = min(k, len(self._vectors))
        at_once = max(1, SCORES_AT_ONCE // len(self._vectors))
        rows = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        for start in range(0, len(queries), at_once):
            of = slice(start, start + at_once)
            all_scores = queries[of] @ self._vectors.T
            best = np.argpartition(-all_scores, k - 1, axis=1)[:, :k]
            order = np.argsort(-np.take_along_axis(all_scores, best, 1), axis=1, kind="stable")
            rows[of] = np.take_along_axis(best, order, 1)
            scores[of] = np.take_along_axis(all_scores, rows[of], 1)
        return rows, scores


@dataclass(frozen=True)
class Effort:
    """How hard ScaNN searches.

    Attributes:
      leaves: of the tree that are searched.
      oversampling: for each item wanted, how many of the best by their quantised scores are scored exactly.
    """

    leaves: int
    oversampling: int


class ScannIndex:
    """ScaNN (Guo et al. 2020): a tree, anisotropic quantisation, and exact scores for the best of them."""

    def __init__(self, searcher: Any, item_count: int, effort: Effort) -> None:
        self._searcher, self._item_count, self.effort = searcher, item_count, effort

    @classmethod
    def build(cls, vectors: NDArray[np.float32], settings: IndexConfig) -> Self:
        """An index of ``vectors`` float32 [num_items, dim], which searches all leaves until it is tuned.

        Exhaustive for a small catalogue, where trees only cost.
        """
        from scann import scann_ops_pybind  # loads TensorFlow's libraries, which only this class needs

        builder = scann_ops_pybind.builder(vectors, min(100, len(vectors)), "dot_product")
        if kind_of(len(vectors), settings) == "brute_force":
            return cls(builder.score_brute_force().build(), len(vectors), Effort(1, 1))
        leaves = int(np.sqrt(len(vectors)))
        tree = builder.tree(num_leaves=leaves, num_leaves_to_search=leaves, training_sample_size=250_000)
        scored = tree.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100)
        return cls(scored.build(), len(vectors), Effort(leaves, OVERSAMPLING[0]))

    def tuned(self, exact: Index, queries: NDArray[np.float32], k: int, settings: IndexConfig) -> Self:
        """The same index with the least effort that is enough for the recall of ``k`` items, or with the most.

        It aims a third of the way above that, since what is found for other queries varies. First comes the oversampling,
        while all leaves are searched, at which half of what may be missed is; then the leaves: both only add to what is found.

        Args:
          queries: float32 [num_queries, dim]; others than those by which the result will be judged.
        """

        def enough(effort: Effort, wanted: float) -> bool:
            found = type(self)(self._searcher, self._item_count, effort)
            return recall_against(exact, found, queries, k) >= wanted

        aim = (1 + 2 * settings.min_recall) / 3
        most = self.effort
        for oversampling in OVERSAMPLING:
            most = replace(self.effort, oversampling=oversampling)
            if enough(most, (1 + aim) / 2):
                break
        low, high = 1, max(1, int(most.leaves * settings.max_leaf_share))
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(replace(most, leaves=middle), aim) else (middle + 1, high)
        return type(self)(self._searcher, self._item_count, replace(most, leaves=low))

    @classmethod
    def load(cls, folder: Path, item_count: int) -> Self:
        """The index of ``item_count`` items that ``save`` has written, wherever it lies now.

        Raises:
          ArtifactError: a file is missing or damaged, or it is an index of another number of items.
        """
        from scann import scann_ops_pybind

        try:
            if not (folder / SCANN_FOLDER / "scann_assets.pbtxt").exists():
                raise ArtifactError(f"{folder / SCANN_FOLDER}: holds no ScaNN index; build it again")
            searcher = scann_ops_pybind.load_searcher(str(folder / SCANN_FOLDER))
            effort = Effort(**json.loads((folder / SCANN_FOLDER / EFFORT_FILE).read_text()))
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ArtifactError(f"{folder / SCANN_FOLDER}: is no readable ScaNN index ({error}); build it again") from error
        if searcher.size() != item_count:
            raise ArtifactError(f"{folder / SCANN_FOLDER}: holds {searcher.size()} items, wanted {item_count}; build it again")
        return cls(searcher, item_count, effort)

    def save(self, folder: Path) -> None:
        (folder / SCANN_FOLDER).mkdir(parents=True, exist_ok=True)
        self._searcher.serialize(str(folder / SCANN_FOLDER), relative_path=True)
        (folder / SCANN_FOLDER / EFFORT_FILE).write_text(json.dumps(asdict(self.effort)))

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        k = min(k, self._item_count)
        rows, scores = self._searcher.search_batched(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=min(self._item_count, k * self.effort.oversampling),
            leaves_to_search=self.effort.leaves,
        )
        found = ~np.isnan(scores)  # ScaNN fills up with row 0 and NaN where the leaves it searched hold fewer items
        return np.where(found, rows, MISSING).astype(np.int32), np.where(found, scores, -np.inf).astype(np.float32)


def kind_of(item_count: int, settings: IndexConfig) -> str:
    return "brute_force" if item_count < settings.exact_below else "tree_ah"


def recall_against(exact: Index, other: Index, queries: NDArray[np.float32], k: int) -> float:
    """Mean share of the exact index's top ``k`` that ``other`` finds."""
    truth, found = exact.search(queries, k)[0], other.search(queries, k)[0]
    hits = [len(np.intersect1d(one, two)) for one, two in zip(truth, found, strict=True)]
    return float(np.mean(hits) / truth.shape[1])


def save_vectors(folder: Path, vectors: NDArray[np.float32], item_ids: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / VECTORS_FILE, vectors)
    (folder / IDS_FILE).write_text(json.dumps(item_ids))


def load_vectors(folder: Path) -> tuple[NDArray[np.float32], list[str]]:
    """Vectors float32 [num_items, dim] and the item ids, both by row.

    Raises:
      ArtifactError: a file is missing, damaged, or the two do not fit.
    """
    try:
        vectors = np.load(folder / VECTORS_FILE, allow_pickle=False)
        item_ids = json.loads((folder / IDS_FILE).read_text())
    except (OSError, EOFError, ValueError) as error:
        raise ArtifactError(f"{folder}: is no readable item index ({error}); build it again") from error
    if len(vectors) != len(item_ids):
        raise ArtifactError(f"{folder}: holds {len(vectors)} vectors and {len(item_ids)} item ids; wanted as many")
    return vectors, item_ids
