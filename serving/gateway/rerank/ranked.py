"""The list that re-ranking works on."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from serving.gateway.release import Release

Reason = Callable[[int], str]


@dataclass(frozen=True)
class Context:
    """What a step may read beside the list.

    Attributes:
      now_ms: UTC; ages count from it.
      count: how many items the reply will hold; the rest of the list makes up for what steps move down.
    """

    release: Release
    now_ms: int
    count: int


@dataclass(frozen=True)
class Ranked:
    """A list of items, best first.

    Attributes:
      rows: int32 [n]; each once.
      score: float64 [n]; tasks: float32 [n] each, the ranker's predictions, none where it did not answer.
      reason: why the last step has put the item where it is, by the item's place *before* that step, from 0. A function,
        because few of the items are asked about.
    """

    rows: NDArray[np.int32]
    score: NDArray[np.float64]
    tasks: Mapping[str, NDArray[np.float32]]
    reason: Reason = lambda place: ""

    @classmethod
    def by_score(cls, rows: NDArray[np.int32], score: NDArray[np.float64], tasks: Mapping[str, NDArray[np.float32]]) -> Self:
        return cls(rows, score, tasks).scored(score, lambda place: "")

    @classmethod
    def by_recall(cls, rows: NDArray[np.int32]) -> Self:
        """In the given order. Relevance is taken to fall as 1 / place, and the score is its logarithm, -ln place."""
        return cls(rows, -np.log(np.arange(1, len(rows) + 1)), {})

    def scored(self, score: NDArray[np.float64], reason: Reason) -> Self:
        """With other scores, sorted by them; equals stay in order."""
        return dataclasses.replace(self, score=score).ordered(np.argsort(-score, kind="stable"), reason)

    def ordered(self, order: NDArray[np.intp], reason: Reason) -> Self:
        """In another order: ``order[p]`` is the place till now of the item that comes to place ``p``."""
        tasks = {name: values[order] for name, values in self.tasks.items()}
        return dataclasses.replace(self, rows=self.rows[order], score=self.score[order], tasks=tasks, reason=reason)
