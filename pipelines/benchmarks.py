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

from components.config import PipelineConfig, RankingConfig, load_config
from components.config.rankers import RANKERS
from components.datasets import movielens, sequences
from components.errors import ConfigError
from components.evaluation.library_baselines import Bpr, Ials
from components.ingest.sources import sources_fingerprint
from components.push.last_release import made_from
from components.push.registry import write_atomically
from components.report.record import NodeState
from pipelines.benchmark_baselines import Baselines
from pipelines.past_runs import LatestRun

CONFIGS = Path("infra/config/benchmarks")
DATA = Path("var/data")


@dataclass(frozen=True)
class Benchmark:
    """
    Attributes:
      sequences, attributes: files of the data as the papers have it; None for MovieLens 100K, which is fetched.
      metrics: those that the papers report, by the evaluation's names.
      published: system → its figures, in the order of ``metrics``; None where a paper has none.
      source: of the published figures.
      baselines: settings of the models of others that are trained in the same run.
      config: the file, where it is not the one of the benchmark's name.
      rankers: trained in turn on what is the same for all of them; none: the config's.
    """

    sequences: str | None
    attributes: str | None
    protocol: str
    metrics: tuple[str, ...]
    published: Mapping[str, tuple[float | None, ...]]
    source: str
    baselines: Baselines
    config: Path | None = None
    rankers: tuple[str, ...] = ()


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
        baselines=Baselines(Ials(64, 0.01, 1.0, 15), Bpr(64, 0.05, 0.01, 100), 1_000.0),
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
        baselines=Baselines(Ials(64, 0.01, 1.0, 15), Bpr(64, 0.05, 0.01, 100), 1_000.0),
    ),
    "ml-100k-random": Benchmark(
        sequences=None,
        attributes=None,
        protocol="80/10/10 of each user's events at random; whole catalogue but what was learnt or validated, a list a user",
        metrics=("recall@10", "ndcg@10", "mrr@10"),
        published={"BPR, RecBole": (None, 0.277, None)},
        source="RecBole (Zhao et al. 2021), its quick start on ml-100k",
        baselines=Baselines(Ials(64, 0.01, 1.0, 15), Bpr(64, 0.05, 0.01, 100), 1_000.0),
    ),
    "ml-100k-time": Benchmark(
        sequences=None,
        attributes=None,
        protocol="the last tenth of events by time is tested, the tenth before validates; whole catalogue but what was had",
        metrics=("recall@10", "ndcg@10", "recall@100"),
        published={},
        source="",
        baselines=Baselines(Ials(64, 0.01, 1.0, 15), Bpr(64, 0.05, 0.01, 100), 1_000.0),
        config=Path("infra/config/movielens-100k.yaml"),
        rankers=RANKERS,
    ),
}
GROUPS: Mapping[str, tuple[str, ...]] = {"ml-100k": ("ml-100k-random", "ml-100k-time")}


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
        raise ConfigError(f"found the benchmark {name!r}, wanted one of {', '.join([*BENCHMARKS, *GROUPS])}")
    benchmark, made = BENCHMARKS[name], DATA / name
    if benchmark.sequences is None:
        movielens.fetch(DATA / "movielens-100k", progress)
    elif not (made / sequences.EVENTS_FILE).exists():
        if data is None or not (data / benchmark.sequences).is_file():
            raise ConfigError(f"--data: found {data}, wanted the folder that holds {benchmark.sequences}, to be read once")
        attributes = data / benchmark.attributes if benchmark.attributes else None
        sequences.convert(data / benchmark.sequences, attributes, made, progress)
    return load_config(benchmark.config or CONFIGS / f"{name}.yaml")


def of_seeds(config: PipelineConfig, seeds: int) -> Iterator[tuple[int, PipelineConfig]]:
    """The config with each seed in the place of its own; only the training depends on it."""
    for seed in range(seeds):
        towers = config.retrieval.model_copy(update={"seed": config.retrieval.seed + seed})
        ranking = config.ranking.model_copy(update={"seed": config.ranking.seed + seed})
        yield seed, config.model_copy(update={"retrieval": towers, "ranking": ranking})


def of_rankers(name: str, config: PipelineConfig) -> Iterator[tuple[str, PipelineConfig]]:
    """The config with each ranker that the benchmark is of, with that ranker's own defaults, by its name; or as it is."""
    for ranker in BENCHMARKS[name].rankers:
        ranking = RankingConfig.model_validate({**config.ranking.model_dump(), "model": ranker})
        yield ranker, config.model_copy(update={"ranking": ranking})
    if not BENCHMARKS[name].rankers:
        yield "", config


def kept_figures(path: Path, config: PipelineConfig) -> Figures | None:
    """What ``keep_figures`` has written of a run of the same data and settings; else None."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    if kept.get("made_from") != _fingerprint(config):
        return None
    return Figures(kept["metrics"], kept["training_s"])


def keep_figures(path: Path, config: PipelineConfig, found: Figures) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"made_from": _fingerprint(config), "metrics": found.metrics, "training_s": found.training_s}
    write_atomically(path, json.dumps(document, indent=1))


def _fingerprint(config: PipelineConfig) -> str:
    return made_from(sources_fingerprint(config.dataset), config.model_dump_json())


def together(found: Mapping[str, Figures], baselines: Mapping[str, Mapping[str, float]]) -> Figures:
    """Of runs with several rankers, by name: one funnel each; what is the same for all of them once."""
    metrics: dict[str, Mapping[str, float]] = {}
    training: dict[str, float] = {}
    for name, each in found.items():
        metrics |= {(f"funnel, {name}" if name and system == "funnel" else system): values
                    for system, values in each.metrics.items() if system == "funnel"}  # fmt: skip
        training |= {(f"{node}, {name}" if name and node == "RankingTrainer" else node): seconds
                     for node, seconds in each.training_s.items()}  # fmt: skip
    first = next(iter(found.values()))
    rest = {system: values for system, values in first.metrics.items() if system not in ("funnel", "last_release")}
    return Figures({**metrics, **rest, **baselines}, training)


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
