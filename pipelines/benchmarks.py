"""Data sets of the papers, run through the pipeline by the papers' protocols, beside the figures that they give.

A benchmark is a config like any other (``infra/config/benchmarks/``) and is run as ``winnow run`` runs one, once for each
seed. Nothing is to be chosen by the test split; the settings there are first ones, and have not been tuned yet.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config import PipelineConfig, load_config
from components.datasets import sequences
from components.errors import ConfigError
from components.report.record import NodeState
from pipelines.past_runs import LatestRun

CONFIGS = Path("infra/config/benchmarks")
DATA = Path("var/data")


@dataclass(frozen=True)
class Benchmark:
    """
    Attributes:
      sequences, attributes: files of the data as the papers have it.
      metrics: those that the papers report, by the evaluation's names.
      published: system → its figures, in the order of ``metrics``; None where a paper has none.
      source: of the published figures.
    """

    sequences: str
    attributes: str | None
    protocol: str
    metrics: tuple[str, ...]
    published: Mapping[str, tuple[float | None, ...]]
    source: str


LEAVE_LAST_OUT = "each user's last item is wanted, among all that the user has not had; learnt from all but the last two"
BENCHMARKS: Mapping[str, Benchmark] = {
    "ml-1m": Benchmark(
        sequences="ml-1m.txt",
        attributes=None,
        protocol=LEAVE_LAST_OUT,
        metrics=("hit_rate@10", "ndcg@10"),
        published={
            "popularity": (0.037, 0.018),
            "iALS": (0.090, 0.045),
            "SASRec, sampled softmax": (0.285, 0.160),
            "gSASRec": (0.300, 0.173),
            "HSTU-large": (0.329, 0.189),
        },
        source="gSASRec (Petrov, Macdonald 2023) and HSTU (Zhai et al. 2024), on the same file",
    ),
    "amazon-beauty": Benchmark(
        sequences="Beauty.txt",
        attributes="Beauty_item2attributes.json",
        protocol=LEAVE_LAST_OUT,
        metrics=("recall@5", "ndcg@5", "recall@10", "ndcg@10"),
        published={
            "GRU4Rec": (0.0164, 0.0099, 0.0283, 0.0137),
            "SASRec": (0.0387, 0.0249, 0.0605, 0.0318),
            "S3-Rec": (0.0387, 0.0244, 0.0647, 0.0327),
            "TIGER": (0.0454, 0.0321, 0.0648, 0.0384),
        },
        source="S3-Rec (Zhou et al. 2020) and TIGER (Rajput et al. 2023), on the same file",
    ),
}


@dataclass(frozen=True)
class Figures:
    """What one seed gave: system → metric → value, and the seconds that each model took that was trained now."""

    metrics: Mapping[str, Mapping[str, float]]
    training_s: Mapping[str, float]


def prepare(name: str, data: Path | None, progress: Callable[[str], None]) -> PipelineConfig:
    """The benchmark's config, with its data in the place that it names.

    Raises:
      ConfigError: there is no such benchmark, or its data are not there.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"found the benchmark {name!r}, wanted one of {', '.join(BENCHMARKS)}")
    benchmark, made = BENCHMARKS[name], DATA / name
    if not (made / sequences.EVENTS_FILE).exists():
        if data is None or not (data / benchmark.sequences).is_file():
            raise ConfigError(f"--data: found {data}, wanted the folder that holds {benchmark.sequences}, to be read once")
        attributes = data / benchmark.attributes if benchmark.attributes else None
        sequences.convert(data / benchmark.sequences, attributes, made, progress)
    return load_config(CONFIGS / f"{name}.yaml")


def of_seeds(config: PipelineConfig, seeds: int) -> Iterator[tuple[int, PipelineConfig]]:
    """The config with each seed in the place of its own; only the training depends on it."""
    for seed in range(seeds):
        towers = config.retrieval.model_copy(update={"seed": config.retrieval.seed + seed})
        ranking = config.ranking.model_copy(update={"seed": config.ranking.seed + seed})
        yield seed, config.model_copy(update={"retrieval": towers, "ranking": ranking})


def figures(workdir: Path) -> Figures:
    """Of the latest run."""
    run = LatestRun(workdir)
    folder = run.outputs()["FunnelEvaluator", "evaluation"]
    trained = {
        each.node: each.seconds
        for each in run.nodes()
        if each.node.endswith("Trainer") and each.state is NodeState.COMPLETE  # not taken from a run before
    }
    return Figures(json.loads((folder / "evaluation.json").read_text())["metrics"], trained)


def summary(name: str, found: list[Figures]) -> dict[str, Any]:
    """Mean and spread (sample standard deviation) of each metric over the seeds, beside what was published."""
    benchmark = BENCHMARKS[name]
    systems = {
        system: {metric: _spread([each.metrics[system][metric] for each in found]) for metric in benchmark.metrics}
        for system in found[0].metrics
    }
    published = {system: dict(zip(benchmark.metrics, values, strict=True)) for system, values in benchmark.published.items()}
    training = {
        node: statistics.mean(each.training_s[node] for each in found if node in each.training_s)
        for node in dict.fromkeys(node for each in found for node in each.training_s)
    }
    return {
        "benchmark": name, "protocol": benchmark.protocol, "seeds": len(found), "systems": systems,
        "published": published, "source": benchmark.source, "training_s": training,
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}
