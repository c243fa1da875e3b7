"""The steps that the settings switch on, in their order, and what each has done to the items of the reply."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from serving.gateway.api import Change
from serving.gateway.rerank.diversity import dpp_step, mmr_step
from serving.gateway.rerank.placement import caps_step, pinned_step
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.scores import combination, freshness, popularity
from serving.gateway.rerank.settings import RerankSettings

DIVERSITY = {"mmr": mmr_step, "dpp": dpp_step}


@dataclass(frozen=True)
class Step:
    """Attributes: needs_tasks: reads the ranker's predictions; hard: is never skipped."""

    name: str
    run: Callable[[Ranked, Context], Ranked]
    needs_tasks: bool = False
    hard: bool = False


def steps(settings: RerankSettings) -> list[Step]:
    chain = []
    if settings.combination:
        chain.append(Step("combination", partial(combination, terms=settings.combination), needs_tasks=True))
    if settings.freshness:
        chain.append(Step("freshness", partial(freshness, settings=settings.freshness)))
    if settings.popularity:
        chain.append(Step("popularity", partial(popularity, settings=settings.popularity)))
    if settings.diversity:
        step = DIVERSITY[settings.diversity.method]
        chain.append(Step(settings.diversity.method, partial(step, settings=settings.diversity)))
    if settings.caps:
        chain.append(Step("caps", partial(caps_step, caps=settings.caps)))
    if settings.pinned:
        chain.append(Step("pinned", partial(pinned_step, pinned=settings.pinned), hard=True))
    return chain


def explained(first: Ranked, trail: Sequence[tuple[str, Ranked]], count: int) -> list[tuple[Change, ...]]:
    """What each step did to each of the last list's first ``count`` items: those steps that changed its place or score.

    Args:
      trail: the name and the list of each step, in order; the first was given ``first``.
    """
    rows = (trail[-1][1] if trail else first).rows[:count]
    changes: list[list[Change]] = [[] for _ in rows]
    before, place_before = first, _places(first, rows)
    for name, after in trail:
        place_after = _places(after, rows)
        for old, new, of_row in zip(place_before, place_after, changes, strict=True):
            if old != new or before.score[old] != after.score[new]:
                of_row.append(Change(step=name, from_rank=old + 1, to_rank=new + 1, reason=after.reason(old)))
        before, place_before = after, place_after
    return [tuple(of_row) for of_row in changes]


def _places(ranked: Ranked, rows: NDArray[np.int32]) -> list[int]:
    """Where the few of ``rows`` stand."""
    places: list[int] = np.nonzero(ranked.rows == rows[:, np.newaxis])[1].tolist()  # each stands there once
    return places
