"""Steps that change scores and sort by them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from components.config import TaskConfig
from components.schema.events import MS_PER_DAY
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.settings import Freshness, Popularity, Term

LEAST_PROB = 1e-7  # a float32 probability that has become 0 or 1 still has a logit


def combination(ranked: Ranked, context: Context, terms: Mapping[str, Term]) -> Ranked:
    """score = Σ_task weight · calibrated prediction."""
    tasks = context.release.config.dataset.tasks
    values = {name: calibrated(ranked.tasks[name], term, tasks[name]) for name, term in terms.items()}
    score = np.sum([term.weight * values[name] for name, term in terms.items()], axis=0)
    return ranked.scored(
        score, lambda place: " + ".join(f"{term.weight:g} × {name} {values[name][place]:.3g}" for name, term in terms.items())
    )


def calibrated(prediction: NDArray[np.float32], term: Term, task: TaskConfig) -> NDArray[np.float64]:
    """float64 [n]: σ(a · logit(p) + b) (Platt 1999, on the ranker's logit), of a regression a · v + b."""
    value = prediction.astype(np.float64)
    if task.kind == "regression":
        return term.a * value + term.b
    prob = np.clip(value, LEAST_PROB, 1 - LEAST_PROB)
    return 1 / (1 + np.exp(-(term.a * np.log(prob / (1 - prob)) + term.b)))


def freshness(ranked: Ranked, context: Context, settings: Freshness) -> Ranked:
    """score += weight · 2^(-age / half-life); an item of the future counts as new."""
    age_days = np.maximum(0, context.now_ms - context.release.created_ms[ranked.rows]) / MS_PER_DAY
    boost = settings.weight * np.exp2(-age_days / settings.half_life_days)
    return ranked.scored(ranked.score + boost, lambda place: f"{age_days[place]:.1f} days old: +{boost[place]:.3g}")


def popularity(ranked: Ranked, context: Context, settings: Popularity) -> Ranked:
    """score -= strength · ln(1 + events)."""
    events = context.release.event_counts[ranked.rows]
    damping = settings.strength * np.log1p(events)
    return ranked.scored(ranked.score - damping, lambda place: f"{events[place]} events: -{damping[place]:.3g}")
