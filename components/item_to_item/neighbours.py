"""The table of each item's neighbours, and how a list is made from a history by it: offline and in the gateway alike.

``start.npy`` int64 [n + 1], ``item.npy`` int32 [m], ``score.npy`` float32 [m]: the neighbours of row i lie from start[i] to
start[i + 1]. They are mapped into memory, not read: a request needs those of a few rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from components.errors import ArtifactError

START_FILE, ITEM_FILE, SCORE_FILE = "start.npy", "item.npy", "score.npy"
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Neighbours:
    """
    Attributes:
      start: int64 [n + 1]; item: int32 [m]; score: float32 [m]; as above.
    """

    start: NDArray[np.int64]
    item: Rows
    score: NDArray[np.float32]

    @property
    def item_count(self) -> int:
        return len(self.start) - 1

    @classmethod
    def load(cls, folder: Path, item_count: int) -> Self:
        """The table of ``item_count`` items that ``join_blocks`` has written.

        Raises:
          ArtifactError: a file is missing or damaged, or it is a table of another number of items.
        """
        try:
            files = (START_FILE, ITEM_FILE, SCORE_FILE)
            start, item, score = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in files)
        except (OSError, EOFError, ValueError) as error:
            raise ArtifactError(f"{folder}: holds no readable item-to-item table ({error}); run the pipeline again") from error
        if not len(start) == item_count + 1 or not start[-1] == len(item) == len(score):
            raise ArtifactError(
                f"{folder}: holds neighbours of {len(start) - 1} items, {len(item)} with {len(score)} scores, where "
                f"{start[-1:].tolist()} end; wanted those of {item_count} items; run the pipeline again"
            )
        return cls(start, item, score)

    def similar(self, history: Rows) -> Rows:
        """int32 [m]; the items with a positive score, best first, of two alike the lower row (Deshpande and Karypis 2004).

        score(j) = sum over history items h of s_hj.

        Args:
          history: int32 [h]; rows. -1, and rows after the table's last, have no neighbours.
        """
        history = history[(history >= 0) & (history < self.item_count)]
        spans = [slice(self.start[row], self.start[row + 1]) for row in history.tolist()]
        if not spans:
            return np.zeros(0, np.int32)
        item = np.concatenate([self.item[span] for span in spans])
        score = np.concatenate([self.score[span] for span in spans])
        if len(item) < self.item_count // 16:  # sorting few is quicker than to go through a large catalogue
            found, place = np.unique(item, return_inverse=True)
            total = np.bincount(place, score)
        else:
            found, total = np.arange(self.item_count), np.bincount(item, score, self.item_count)
        positive = total > 0
        found, total = found[positive], total[positive]
        return found[np.argsort(-total, kind="stable")].astype(np.int32)


@dataclass(frozen=True)
class Block:
    """The neighbours of some rows that follow each other.

    Attributes:
      first: the first of the rows; count: int64 [rows]; neighbours of each.
      item: int32 [m]; score: float32 [m]; of all of them, one row after the other.
    """

    first: int
    count: NDArray[np.int64]
    item: Rows
    score: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """A retry writes the same file."""
        np.savez(folder / f"block-{self.first}.npz", count=self.count, item=self.item, score=self.score)


def join_blocks(blocks: Path, folder: Path, item_count: int) -> None:
    """Make the table of ``item_count`` items of the blocks saved in a folder; rows of no block have no neighbours."""
    files = {int(path.stem.removeprefix("block-")): path for path in blocks.glob("block-*.npz")}
    count = np.zeros(item_count, np.int64)
    for first, path in files.items():
        with np.load(path, allow_pickle=False) as block:
            count[first : first + len(block["count"])] = block["count"]
    start = np.concatenate([[0], np.cumsum(count)])
    folder.mkdir(parents=True, exist_ok=True)
    item, score = (
        np.lib.format.open_memmap(folder / name, "w+", dtype, (int(start[-1]),))
        for name, dtype in ((ITEM_FILE, np.int32), (SCORE_FILE, np.float32))
    )
    for first, path in files.items():
        with np.load(path, allow_pickle=False) as block:
            place = slice(start[first], start[first] + len(block["item"]))
            item[place], score[place] = block["item"], block["score"]
    item.flush()
    score.flush()
    np.save(folder / START_FILE, start)
