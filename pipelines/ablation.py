"""What each source of recall and each step of re-ranking does for the lists: the served funnel with one left out at a time.

The gateway's own code answers the moments of a split, with the release that the work directory serves and what the user was
known by at each moment. Beside the accuracy of the lists stands what re-ranking gives accuracy away for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import ConfigError
from components.evaluation import metrics
from components.evaluation.funnel import HEADLINE, Training, judge_systems
from components.evaluation.queries import Queries, split_queries
from components.features.seen import PAD, padded
from components.funnel.parts import FunnelParts
from components.push.registry import Registry
from pipelines.past_runs import LatestRun
from serving.gateway.recall import Known, recall
from serving.gateway.release import Release
from serving.gateway.rerank.chain import Step, steps
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.rules import allowed
from serving.gateway.settings import GatewaySettings

WHOLE = "the whole funnel"
SHOWN = 10
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Answered:
    """What one way of recall comes to.

    Attributes:
      rows: int32 [n, candidates], padded with -1; scores: float32, of the ranker.
    """

    rows: Rows
    scores: NDArray[np.float32]


def ablated(
    workdir: Path, settings: GatewaySettings, split: str, moments: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Metrics of the whole funnel and of each with a part left out, and the difference in NDCG@10 that the part makes.

    Args:
      split: ``eval`` to choose by, ``test`` to report.
      moments: how many are answered at most.

    Raises:
      ArtifactError: there is no run, or its release is damaged.
      ConfigError: the settings do not fit the data set, or combine the tasks anew: only their combined score is asked for here.
    """
    if settings.rerank.combination:
        raise ConfigError("rerank.combination: found a combination of the tasks, wanted none: here only their sum is judged")
    outputs, registry = LatestRun(workdir).outputs(), Registry(workdir / "releases")
    version = registry.current()
    if version is None:
        raise ConfigError(f"{workdir}: holds no release yet; `winnow run --workdir {workdir}` makes one")
    release = Release.load(registry, version)
    settings.check(release.config.dataset)
    release = release.restricted(allowed(release.items, settings.rerank.banned, settings.rerank.rules))
    evaluation = release.config.evaluation.model_copy(update={"max_queries": moments, "k": (SHOWN,)})
    config = release.config.model_copy(update={"evaluation": evaluation})
    examples, catalogue = outputs["Samples", "examples"], outputs["Ingest", "catalogue"]
    queries = split_queries(config, split, examples, outputs["Ingest", "event_log"], catalogue)
    funnel = _Offline(release, registry.funnel_parts(version), queries)

    whole = funnel.answered(settings.quotas)
    chain = steps(settings.rerank)
    lists, found = {WHOLE: funnel.reranked(whole, chain)}, {WHOLE: whole.rows}
    progress(WHOLE)
    for source, quotas in _without_each(settings.quotas):
        answered = funnel.answered(quotas)
        lists[f"without {source}"], found[f"without {source}"] = funnel.reranked(answered, chain), answered.rows
        progress(f"without {source}")
    for left_out in chain:
        name = f"without {left_out.name}"
        lists[name], found[name] = funnel.reranked(whole, [step for step in chain if step is not left_out]), whole.rows
        progress(name)
    if len(chain) > 1:
        lists["without re-ranking"], found["without re-ranking"] = funnel.reranked(whole, []), whole.rows

    training = Training.of(outputs["Samples", "features"], np.asarray(release.vectors))
    judged = judge_systems(lists, queries, training, config)
    kept = {
        name: float(np.nanmean(metrics.recall(metrics.judge(rows, queries.wanted), rows.shape[1])))
        for name, rows in found.items()
    }
    return {
        "release": version,
        "split": split,
        "moments": len(queries.wanted),
        "candidates": release.candidates,
        "systems": {name: {**values, "recall of candidates": kept[name]} for name, values in judged["metrics"].items()},
        "gain": judged["differences"],
        "metric": HEADLINE,
    }


class _Offline:
    """The served funnel over the moments of a split."""

    def __init__(self, release: Release, parts: FunnelParts, queries: Queries) -> None:
        self._release, self._queries, self._models = release, queries, parts.load()
        self._embeddings = self._models.towers.embed(queries.examples)
        self._segments = [release.segments.ranking(release.profile(user)) for user in queries.user_id]

    def answered(self, quotas: dict[str, int]) -> Answered:
        queries = self._queries
        rows = []
        for place, embedding in enumerate(self._embeddings):
            history, seen = (each[place][each[place] >= 0] for each in (queries.history, queries.seen))
            known = Known(embedding, history, seen, None, self._segments[place])
            rows.append(recall(self._release, known, quotas, self._release.candidates).rows)
        candidates = padded(rows)
        return Answered(candidates, self._models.ranker.scores(queries.examples, candidates))

    def reranked(self, answered: Answered, chain: list[Step]) -> Rows:
        """int32 [n, SHOWN]."""
        lists = np.full((len(answered.rows), SHOWN), PAD, np.int32)
        for place, (rows, scores) in enumerate(zip(answered.rows, answered.scores, strict=True)):
            there = rows >= 0
            ranked = Ranked.by_score(rows[there], scores[there].astype(np.float64), {})
            context = Context(self._release, int(self._queries.timestamp_ms[place]), SHOWN)
            for step in chain:
                ranked = step.run(ranked, context)
            shown = ranked.rows[:SHOWN]
            lists[place, : len(shown)] = shown
        return lists


def _without_each(quotas: dict[str, int]) -> Iterator[tuple[str, dict[str, int]]]:
    for source in quotas:
        rest = {name: quota for name, quota in quotas.items() if name != source}
        if rest:
            yield source, rest
