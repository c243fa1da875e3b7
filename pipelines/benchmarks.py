"""Data sets of the papers, run through the pipeline by the papers' protocols, beside the figures that they give.

A benchmark is a config like any other (``infra/config/benchmarks/``) and is run as ``winnow run`` runs one, once for each
seed. Nothing is chosen by the test split: the settings are chosen by validation (``infra/decisions/0013``), or first ones.
Beside the papers' data stand simulated ones, of which the truth is known that a model can come near to. Any other config
is a benchmark too, beside the same baselines.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from components.config import PipelineConfig, RankingConfig, RetrievalConfig, load_config
from components.config.rankers import RANKERS
from components.datasets import movielens, sequences
from components.datasets.synthetic import SyntheticConfig, generate
from components.errors import ConfigError
from components.evaluation.library_baselines import Bpr, Ials
from components.evaluation.slices import of_item_interactions
from components.ingest.sources import sources_fingerprint
from components.push.last_release import made_from
from components.push.registry import write_atomically
from components.report.read import TRAINERS, read_history
from pipelines.benchmark_baselines import Baselines
from pipelines.benchmark_truth import TRUE_CLICKS, TRUTH, true_lists
from pipelines.past_runs import LatestRun

CONFIGS = Path("infra/config/benchmarks")
DATA = Path("var/data")
SIMULATION, SIMULATED = SyntheticConfig(events=1_100_000, with_truth=True), DATA / "synthetic-1m"
IMPRESSIONS = "1,001,053 impressions"  # what that simulation makes
RANKER = "ranker"  # whose predictions are judged
OF_RANKER = frozenset({"funnel", RANKER, "RankingTrainer"})  # what is another with each ranker
OF_LOSS = OF_RANKER | {"recall_only", "RetrievalTrainer"}
Value = TypeVar("Value")
TO_TRUTH, MOMENTS = "auc_to_truth", "moments"
Metrics = Mapping[str, float]
Systems = dict[str, Metrics]


def of_lists(evaluation: Mapping[str, Any]) -> Systems:
    """What each system's lists are worth."""
    return dict(evaluation["metrics"])


def of_predictions(evaluation: Mapping[str, Any]) -> Systems:
    """What the ranker's predictions of its only task are worth."""
    (judged,) = evaluation["prediction"].values()
    return {RANKER: {metric: value for metric, value in judged.items() if isinstance(value, float)}}


def of_lists_by_item(evaluation: Mapping[str, Any]) -> Systems:
    """What each system's lists are worth where the wanted item has so many interactions in training, by both."""
    of_count = {label.partition("=")[-1]: found for label, found in evaluation["slices"].items() if of_item_interactions(label)}
    if new := evaluation["new_items"]:
        of_count = {"among new": new, **of_count}
    return {
        f"{system}, {label}": {MOMENTS: found["query_count"], **values}
        for label, found in of_count.items()
        for system, values in found["metrics"].items()
    }


@dataclass(frozen=True)
class Benchmark:
    """
    Attributes:
      metrics: those that the papers report, by the names that ``judged`` gives them.
      published: system → its figures, in the order of ``metrics``; None where a paper has none.
      source: of the published figures.
      sequences, attributes: files of the data as the papers have it, by name or pattern; None where they are fetched or
        simulated.
      baselines: settings of the models of others that are trained in the same run; None: none are.
      config: the file, where it is not the one of the benchmark's name.
      rankers, losses: trained in turn on what is the same for all of them; none: the config's. Losses are recall's.
      simulated: the data are the simulation's, not MovieLens 100K.
      judged: what is shown of an evaluation.
    """

    protocol: str
    metrics: tuple[str, ...]
    published: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    source: str = ""
    sequences: str | None = None
    attributes: str | None = None
    baselines: Baselines | None = None
    config: Path | None = None
    rankers: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    simulated: bool = False
    judged: Callable[[Mapping[str, Any]], Systems] = of_lists

    @property
    def own(self) -> Set[str]:
        """The systems and trainings that are others with each of its rankers or losses."""
        return OF_LOSS if self.losses else OF_RANKER


# Of other data than those that they were tuned for by the validation split (``infra/decisions/0013``) these are first ones.
BASELINES = Baselines(Ials(64, 0.01, 1.0, 15), Bpr(64, 0.05, 0.01, 100), 1_000.0)
OF_ML_1M = Baselines(Ials(128, 10.0, 1.0, 15), Bpr(64, 0.01, 0.01, 100), 300.0)
OF_BEAUTY = Baselines(Ials(256, 1.0, 40.0, 15), Bpr(64, 0.1, 0.05, 200), 100.0)
OF_RANDOM_SPLIT = Baselines(Ials(32, 20.0, 2.0, 15), Bpr(64, 0.003, 0.05, 300), 300.0)
OF_TIME_SPLIT = Baselines(Ials(32, 10.0, 1.0, 15), None, 200.0)
BARS_AUC: Mapping[str, float] = {"DCN-v2": 0.8812, "DIN": 0.8860, "BST": 0.8864, "DIEN": 0.8888}
BARS = "BARS (Zhu et al. 2022), AmazonElectronics: other data, of which the order of the models is to be compared alone"
NEW_ITEMS = (
    "first those of items new since training, among all such items; then by the wanted item's interactions in training: none, "
    "1 to 5, more; whole catalogue but what was had"
)
LEAVE_LAST_OUT = "each user's last item is wanted, among all that the user has not had; learnt from all but the last two"
BENCHMARKS: Mapping[str, Benchmark] = {
    "ml-1m": Benchmark(
        sequences="ml-1m.txt",
        protocol=LEAVE_LAST_OUT,
        metrics=("hit_rate@10", "ndcg@10"),
        published={
            "popularity": (0.037, 0.018),
            "iALS": (0.090, 0.045),
            "SASRec, sampled softmax": (0.285, 0.160),
            "gSASRec": (0.300, 0.173),
            "HSTU-large": (0.329, 0.189),
        },
        source="gSASRec (Petrov, Macdonald 2023), on the same file; HSTU-large and SASRec with sampled softmax: HSTU "
        "(Zhai et al. 2024), on a preparation of its own of the same ratings, which keeps 3,706 films",
        baselines=OF_ML_1M,
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
        baselines=OF_BEAUTY,
    ),
    "ml-100k-random": Benchmark(
        protocol="80/10/10 of each user's events at random; whole catalogue but what was learnt or validated, a list a user",
        metrics=("recall@10", "ndcg@10", "mrr@10"),
        published={"BPR, RecBole": (None, 0.277, None)},
        source="RecBole (Zhao et al. 2021), its quick start on ml-100k",
        baselines=OF_RANDOM_SPLIT,
    ),
    "ml-100k-time": Benchmark(
        protocol="the last tenth of events by time is tested, the tenth before validates; whole catalogue but what was had",
        metrics=("recall@10", "ndcg@10", "recall@100"),
        baselines=OF_TIME_SPLIT,
        rankers=RANKERS,
    ),
    "ctr-ml-100k": Benchmark(
        protocol="whether a rating is at least 4, predicted; the last tenth of ratings by time is tested",
        metrics=("auc", "grouped_auc", "log_loss", "calibration_error"),
        published={name: (auc, None, None, None) for name, auc in BARS_AUC.items()},
        source=BARS,
        rankers=RANKERS,
        judged=of_predictions,
    ),
    "ctr-synthetic": Benchmark(
        protocol=f"whether an impression is clicked on, predicted; the last tenth of {IMPRESSIONS} by time is tested; "
        "the true probability is that at the position shown, which no ranker is told; below it, its mean over the positions, "
        "which a ranker may beat, as what is liked more was shown higher",
        metrics=("auc", TO_TRUTH, "grouped_auc", "log_loss", "calibration_error"),
        published={name: (auc, None, None, None, None) for name, auc in BARS_AUC.items()},
        source=BARS,
        config=CONFIGS / "synthetic-1m.yaml",
        rankers=RANKERS,
        simulated=True,
        judged=of_predictions,
    ),
    "cold-ml-100k": Benchmark(
        protocol=f"the last tenth of ratings by time is tested, {NEW_ITEMS}",
        metrics=(MOMENTS, "recall@10", "recall@50", "recall@100", "ndcg@10"),
        config=Path("infra/config/movielens-100k.yaml"),
        judged=of_lists_by_item,
    ),
    "cold-synthetic": Benchmark(
        protocol=f"the clicks in the last tenth of {IMPRESSIONS} by time are tested, {NEW_ITEMS}",
        metrics=(MOMENTS, "recall@10", "recall@50", "recall@100", "ndcg@10"),
        config=CONFIGS / "synthetic-1m.yaml",
        simulated=True,
        judged=of_lists_by_item,
    ),
    "lists-synthetic": Benchmark(
        protocol=f"ten items for the moments of the clicks in the last tenth of {IMPRESSIONS} by time, of what was there "
        "and not had: the mean true probability that who looks at one clicks on it; whether the one clicked on is among them",
        metrics=(TRUE_CLICKS, "recall@10", "ndcg@10"),
        config=CONFIGS / "synthetic-1m.yaml",
        losses=("in_batch", "full", "ips", "off_policy"),
        simulated=True,
    ),
}
GROUPS: Mapping[str, tuple[str, ...]] = {
    "ml-100k": ("ml-100k-random", "ml-100k-time"),
    "ctr": ("ctr-ml-100k", "ctr-synthetic"),
    "cold": ("cold-ml-100k", "cold-synthetic"),
}


PROTOCOLS = {
    "leave_last_out": LEAVE_LAST_OUT,
    "random": "events of each user at random are tested; whole catalogue but what was learnt or validated, a list a user",
    "time": "the last of the events by time are tested, those before validate; whole catalogue but what was had",
}


@dataclass(frozen=True)
class Figures:
    """What one seed gave: system → metric → value, and the seconds of each training's epochs, in however many pieces."""

    metrics: Mapping[str, Metrics]
    training_s: Mapping[str, float]


def benchmark_of(name: str) -> Benchmark:
    """The benchmark of that name, or of the config in that file.

    Raises:
      ConfigError: there is no such benchmark.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    if not is_file(name):
        wanted = ", ".join([*BENCHMARKS, *GROUPS])
        raise ConfigError(f"found the benchmark {name!r}, wanted one of {wanted}, or the file of a config")
    config = load_config(Path(name))
    return Benchmark(
        protocol=PROTOCOLS[config.samples.split.kind],
        metrics=("recall@10", "ndcg@10", "mrr@10"),
        sequences="*.txt",
        attributes="*.json",
        baselines=BASELINES,
        config=Path(name),
    )


def is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def prepare(name: str, data: Path | None, progress: Callable[[str], None]) -> PipelineConfig:
    """The benchmark's config, with its data in the place that it names.

    Raises:
      ConfigError: there is no such benchmark, or its data are not there.
    """
    benchmark = benchmark_of(name)
    config = load_config(benchmark.config or CONFIGS / f"{name}.yaml")
    if benchmark.simulated:
        generate(SIMULATION, SIMULATED, progress)
    elif benchmark.sequences is None:
        movielens.fetch(DATA / "movielens-100k", progress)
    elif name in BENCHMARKS:
        _convert_once(benchmark, data, DATA / name, progress)
    elif data is not None:
        _convert_once(benchmark, data, config.dataset.events.path.parent, progress)
    return config


def _convert_once(benchmark: Benchmark, data: Path | None, made: Path, progress: Callable[[str], None]) -> None:
    """Events and items in the folder ``made``, of files in the papers' form."""
    if (made / sequences.EVENTS_FILE).exists():
        return
    if made.exists() and any(made.iterdir()):
        raise ConfigError(
            f"{made}: found files in the folder of dataset.events.path, wanted one that holds nothing else, to be made from "
            f"--data: events.path such as events/{sequences.EVENTS_FILE}"
        )
    found = sorted(data.glob(str(benchmark.sequences))) if data else []
    if len(found) != 1:
        held = f" with {', '.join(path.name for path in found)}" if found else ""
        raise ConfigError(
            f"--data: found {data}{held}, wanted the folder that holds one {benchmark.sequences}, to be read once"
        )
    attributes = sorted(found[0].parent.glob(benchmark.attributes)) if benchmark.attributes else []
    if len(attributes) > 1:
        raise ConfigError(
            f"--data: found {', '.join(path.name for path in attributes)} in {data}, wanted one file of attributes"
        )
    sequences.convert(found[0], attributes[0] if attributes else None, made, progress)


def of_seeds(config: PipelineConfig, seeds: int) -> Iterator[tuple[int, PipelineConfig]]:
    """The config with each seed in the place of its own; only the training depends on it."""
    for seed in range(seeds):
        towers = config.retrieval.model_copy(update={"seed": config.retrieval.seed + seed})
        ranking = config.ranking.model_copy(update={"seed": config.ranking.seed + seed})
        yield seed, config.model_copy(update={"retrieval": towers, "ranking": ranking})


def of_variants(name: str, config: PipelineConfig) -> Iterator[tuple[str, PipelineConfig]]:
    """The config with each ranker (with its own defaults) or loss that the benchmark is of, by its name; or as it is."""
    benchmark = benchmark_of(name)
    for ranker in benchmark.rankers:
        ranking = RankingConfig.model_validate({**config.ranking.model_dump(), "model": ranker})
        yield ranker, config.model_copy(update={"ranking": ranking})
    for loss in benchmark.losses:
        towers = RetrievalConfig.model_validate({**config.retrieval.model_dump(), "loss": loss})
        yield loss, config.model_copy(update={"retrieval": towers})
    if not (benchmark.rankers or benchmark.losses):
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


def together(found: Mapping[str, Figures], others: Mapping[str, Metrics], own: Set[str]) -> Figures:
    """Of runs that differ in one choice, by its name: what that makes a difference to, what it does not, and other systems.

    Args:
      own: the systems and trainings that are others with each choice.
    """
    metrics = {**_told_apart({name: each.metrics for name, each in found.items()}, own), **others}
    training = _told_apart({name: each.training_s for name, each in found.items()}, own)
    if TRUTH in others:
        best = others[TRUTH]["auc"]
        metrics = {system: {**values, TO_TRUTH: best - values["auc"]} for system, values in metrics.items()}
    return Figures(metrics, training)


def _told_apart(of_choice: Mapping[str, Mapping[str, Value]], own: Set[str]) -> dict[str, Value]:
    """Key → value, of choice → key → value: first each choice's ``own``, by its name; then once what is the same for all."""
    named = {
        (name if key == RANKER else f"{key}, {name}") if name else key: value
        for name, each in of_choice.items()
        for key, value in each.items()
        if key in own
    }
    first = next(iter(of_choice.values()))
    return {**named, **{key: value for key, value in first.items() if key not in own}}


def figures(name: str, config: PipelineConfig, workdir: Path) -> Figures:
    """Of the latest run, what the benchmark shows of it; but for the release that was there before by chance."""
    benchmark, outputs = benchmark_of(name), LatestRun(workdir).outputs()
    trained = {node: sum(read_history(outputs[node, "model_run"]).seconds) for node in TRAINERS}
    if TRUE_CLICKS in benchmark.metrics:
        return Figures(true_lists(config, outputs, SIMULATED), trained)
    evaluation = outputs["FunnelEvaluator", "evaluation"] / "evaluation.json"
    judged = benchmark.judged(json.loads(evaluation.read_text()))
    return Figures({system: values for system, values in judged.items() if not system.startswith("last_release")}, trained)


def summary(name: str, found: list[Figures]) -> dict[str, Any]:
    """Mean and spread (sample standard deviation) of each metric over the seeds, beside what was published."""
    benchmark = benchmark_of(name)
    systems = {
        system: {metric: _spread([each.metrics[system][metric] for each in found]) for metric in benchmark.metrics}
        for system in found[0].metrics
    }
    published = {system: dict(zip(benchmark.metrics, values, strict=True)) for system, values in benchmark.published.items()}
    training = {node: statistics.mean(each.training_s[node] for each in found) for node in found[0].training_s}
    return {
        "benchmark": name, "protocol": benchmark.protocol, "seeds": len(found), "systems": systems,
        "published": published, "source": benchmark.source, "training_s": training,
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}
