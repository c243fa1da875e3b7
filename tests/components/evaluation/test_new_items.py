import numpy as np
import pytest
from numpy.typing import NDArray

from components.evaluation.funnel import MIN_SLICE_QUERIES, Training
from components.evaluation.new_items import MOST_QUERIES, judge_new_items
from components.evaluation.queries import Queries
from components.funnel.offline import OfflineFunnel
from components.index.index import ExactIndex
from tests.components.conftest import small_config

CONFIG = small_config(evaluation={"k": [10, 20]})
ITEMS = 30
# Items 1, 2 and 3 were had in training; 27 are new.
TRAINING = Training(np.arange(3), np.arange(1, 4, dtype=np.int32), np.eye(ITEMS, dtype=np.float32))


class LastFirst:
    """Recalls the items of high numbers first."""

    item_vectors = np.arange(ITEMS, dtype=np.float32)[:, None]

    def embed(self, examples: list[bytes]) -> NDArray[np.float32]:
        return np.ones((len(examples), 1), np.float32)


class EvenFirst:
    """Puts even rows before odd ones."""

    def scores(self, examples: list[bytes], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.where(rows % 2 == 0, 100 + rows, rows).astype(np.float32)


FUNNEL = OfflineFunnel(LastFirst(), ExactIndex(LastFirst.item_vectors), EvenFirst(), 300)  # type: ignore[arg-type]


def wanting(items: list[int], seen: int = -1) -> Queries:
    none = np.full((len(items), 1), -1, np.int32)
    users, moments = np.full(len(items), "u", object), np.zeros(len(items), np.int64)
    wanted = np.array(items, np.int32)[:, None]
    return Queries([b""] * len(items), users, moments, wanted, none, none, np.full_like(none, seen), {})


def test_new_items_are_told_from_new_ones_alone() -> None:
    """Item 27 is third of all by recall, and second where 29 was seen; the ranker puts the 14 even ones before it."""
    judged = judge_new_items(FUNNEL, wanting([27] * MIN_SLICE_QUERIES + [1, 2], seen=29), TRAINING, CONFIG)
    assert (judged["query_count"], judged["item_count"]) == (MIN_SLICE_QUERIES, 27)
    # 0, 4, 6, …, 28 are even and new: 14 of them, and 27 comes fifteenth.
    assert judged["metrics"]["funnel"] == {"ndcg@10": 0, "recall@10": 0, "recall@20": 1}
    assert judged["metrics"]["recall_only"] == {"ndcg@10": pytest.approx(1 / np.log2(3)), "recall@10": 1, "recall@20": 1}


def test_chance_is_that_among_new_items_alone() -> None:
    """10 of the 26 that are new and were not seen, however few the moments."""
    judged = judge_new_items(FUNNEL, wanting([27] * (MOST_QUERIES + 5), seen=29), TRAINING, CONFIG)
    assert judged["query_count"] == MOST_QUERIES
    assert judged["metrics"]["random"]["recall@10"] == pytest.approx(10 / 26)


def test_a_few_moments_say_nothing() -> None:
    assert judge_new_items(FUNNEL, wanting([27] * (MIN_SLICE_QUERIES - 1)), TRAINING, CONFIG) == {}
    several = Queries(**{**vars(wanting([27] * 100)), "wanted": np.full((100, 2), 27, np.int32)})
    assert judge_new_items(FUNNEL, several, TRAINING, CONFIG) == {}
