"""Diversity: the first places go to items that are relevant and unlike those above them.

Both methods read a relevance in [0, 1], the scores of the list stretched over it, and the cosines of the item vectors,
and fill one place after the other. Two steps that put different weights on the same scores are thus comparable.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.settings import Diversity

Floats = NDArray[np.float64]
# Later steps move items down, and those that take their places shall be diverse as well.
SPARE_PLACES = 10
LEAST_VOLUME = 1e-8  # of a unit vector, its squared distance from the span of others: below this it is rounding


class Picked(NamedTuple):
    """Attributes: order: int [places]; measure: float64 [places], how like (mmr) or new (dpp) each was when it was picked."""

    order: NDArray[np.intp]
    measure: Floats


def mmr_step(ranked: Ranked, context: Context, settings: Diversity) -> Ranked:
    if len(ranked.rows) < 2:
        return ranked
    picked = mmr(relevance(ranked.score), _unit(ranked, context), settings.relevance, context.count + SPARE_PLACES)
    return _moved(ranked, picked, "cosine of at most {:.2f} with those above")


def dpp_step(ranked: Ranked, context: Context, settings: Diversity) -> Ranked:
    if len(ranked.rows) < 2:
        return ranked
    picked = dpp(relevance(ranked.score), _unit(ranked, context), settings.relevance, context.count + SPARE_PLACES)
    return _moved(ranked, picked, "{:.0%} of it is not in those above")


def mmr(relevance: Floats, vectors: Floats, trade_off: float, places: int) -> Picked:
    """Maximal marginal relevance (Carbonell & Goldstein 1998): next is argmax λ · rel_i - (1 - λ) · max_{j above} sim_ij.

    Args:
      relevance: float64 [n]; vectors: float64 [n, dim], of unit length, sim their dot products; trade_off: λ.
    """
    places = min(places, len(relevance))
    order, measure = np.empty(places, np.intp), np.zeros(places)
    gain = trade_off / (1 - trade_off) * relevance  # in units of similarity
    alike = np.zeros(len(relevance))  # to those above, the most; where none are above, 0
    for place in range(places):
        best = int(np.argmax(gain - alike))
        order[place], measure[place] = best, alike[best]
        gain[best] = -np.inf
        to_best = vectors @ vectors[best]
        alike = np.maximum(alike, to_best) if place else to_best
    return Picked(order, measure)


def dpp(relevance: Floats, vectors: Floats, trade_off: float, places: int) -> Picked:
    """Greedy MAP of a determinantal point process by incremental Cholesky (Chen, Zhang & Zhou 2018, algorithm 1).

    Next is the item that adds most to θ · Σ rel_i + (1 - θ) · log det S, the paper's trade-off of both, so
    argmax θ / (1 - θ) · rel_i + log d_i², where d_i² is what the item multiplies the determinant by. It ends early
    where nothing is left that those above do not span.

    Args:
      relevance: float64 [n]; vectors: float64 [n, dim], of unit length, S their dot products; trade_off: θ.
    """
    places = min(places, len(relevance))
    order, measure = np.empty(places, np.intp), np.empty(places)
    gain = trade_off / (1 - trade_off) * relevance
    volume = np.ones(len(relevance))  # d²
    factor = np.empty((places, len(relevance)))  # row k: the k-th entry of every item's Cholesky vector c
    for place in range(places):
        gain[volume <= LEAST_VOLUME] = -np.inf
        best = int(np.argmax(gain + np.log(np.maximum(volume, LEAST_VOLUME))))
        if gain[best] == -np.inf:
            return Picked(order[:place], measure[:place])
        order[place], measure[place] = best, volume[best]
        row = (vectors @ vectors[best] - factor[:place, best] @ factor[:place]) / np.sqrt(volume[best])
        factor[place] = row
        volume -= row**2
        gain[best] = -np.inf
    return Picked(order, measure)


def relevance(score: Floats) -> Floats:
    """The scores, stretched over [0, 1]; all 0 where they are all alike."""
    low, high = score.min(), score.max()
    return (score - low) / (high - low) if high > low else np.zeros(len(score))


def _unit(ranked: Ranked, context: Context) -> Floats:
    """The items' vectors at unit length; one of length 0 stays, and is like no other."""
    vectors = context.release.vectors[ranked.rows].astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _moved(ranked: Ranked, picked: Picked, wording: str) -> Ranked:
    """Those picked first, then the others as they were."""
    order, measure = picked
    others = np.delete(np.arange(len(ranked.rows)), order)
    measure_of = dict(zip(order.tolist(), measure.tolist(), strict=True))

    def reason(place: int) -> str:
        return wording.format(measure_of[place]) if place in measure_of else "others took the first places"

    return ranked.ordered(np.concatenate([order, others]), reason)
