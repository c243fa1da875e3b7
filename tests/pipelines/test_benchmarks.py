"""The papers' data: what is refused, what a seed changes, how seeds are summed up. The runs themselves take an hour."""

from pathlib import Path

import pytest

from components.config import PipelineConfig, load_config
from components.config.rankers import RANKERS
from components.errors import ConfigError
from pipelines.benchmarks import (
    BENCHMARKS,
    CONFIGS,
    GROUPS,
    OF_LOSS,
    OF_RANKER,
    SIMULATION,
    TO_TRUTH,
    Figures,
    keep_figures,
    kept_figures,
    of_lists_by_item,
    of_predictions,
    of_seeds,
    of_variants,
    prepare,
    summary,
    together,
)
from pipelines.show import BENCHMARK_WIDTH, show_benchmark

SEQUENCES = "1 7 9 8 5\n2 9 7 8\n"


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelineConfig:
    """Beauty's config over two users' sequences, in a folder of its own."""
    root = Path.cwd()
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "Beauty.txt").write_text(SEQUENCES)
    (tmp_path / "given" / "Beauty_item2attributes.json").write_text('{"7": [1]}')
    (tmp_path / "infra").symlink_to(root / "infra")
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    config = prepare("amazon-beauty", tmp_path / "given", said.append)
    assert said == ["7 interactions of 2 users with 4 items"]
    assert (tmp_path / "var" / "data" / "amazon-beauty" / "events.parquet").exists()
    return config


def test_data_are_read_once(prepared: PipelineConfig) -> None:
    assert prepare("amazon-beauty", None, pytest.fail) == prepared


def test_an_unknown_benchmark() -> None:
    with pytest.raises(ConfigError, match="found the benchmark 'ml-20m', wanted one of ml-1m, amazon-beauty, ml-100k-random, "):
        prepare("ml-20m", None, print)


OWN = """
name: toys
dataset:
  events:
    path: made/events.parquet
    format: parquet
    timestamp_unit: s
    columns: {user_id: user_id, item_id: item_id, timestamp: timestamp}
  context: []
  tasks: {next: {}}
samples: {split: {kind: leave_last_out}}
"""


def test_a_config_of_ones_own(tmp_path: Path) -> None:
    """Its data come from a folder in the papers' form, or lie where it says."""
    file, given = tmp_path / "toys.yaml", tmp_path / "given"
    file.write_text(OWN)
    given.mkdir()
    (given / "toys.txt").write_text(SEQUENCES)
    said: list[str] = []
    config = prepare(str(file), given, said.append)
    assert (config.name, said) == ("toys", ["7 interactions of 2 users with 4 items"])
    assert config.dataset.events.path.exists()
    assert prepare(str(file), None, pytest.fail) == prepare(str(file), given, pytest.fail) == config
    metrics = {"recall@10": 0.2, "ndcg@10": 0.1, "mrr@10": 0.1, "recall@50": 0.5}
    made = summary(str(file), [Figures({"funnel": metrics}, {})])
    assert made["protocol"].startswith("each user's last item")
    assert list(made["systems"]["funnel"]) == ["recall@10", "ndcg@10", "mrr@10"]


def test_data_that_could_be_either_of_two(tmp_path: Path) -> None:
    file, given = tmp_path / "toys.yaml", tmp_path / "given"
    file.write_text(OWN)
    given.mkdir()
    for name in ("a.txt", "b.txt"):
        (given / name).write_text(SEQUENCES)
    with pytest.raises(ConfigError, match=r"given with a\.txt, b\.txt, wanted the folder that holds one \*\.txt"):
        prepare(str(file), given, print)
    (given / "b.txt").unlink()
    for name in ("c.json", "d.json"):
        (given / name).write_text("{}")
    with pytest.raises(ConfigError, match=r"found c\.json, d\.json in .*, wanted one file of attributes"):
        prepare(str(file), given, print)


def test_data_are_written_into_no_folder_that_holds_others(tmp_path: Path) -> None:
    file = tmp_path / "toys.yaml"
    file.write_text(OWN.replace("made/", ""))
    (tmp_path / "toys.txt").write_text(SEQUENCES)
    with pytest.raises(ConfigError, match=r"found files in the folder of dataset\.events\.path, wanted one that holds"):
        prepare(str(file), tmp_path, print)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toys.txt", "toys.yaml"]


@pytest.mark.parametrize("name", [name for name, benchmark in BENCHMARKS.items() if benchmark.sequences])
def test_data_that_are_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "infra").symlink_to(Path.cwd() / "infra")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"--data: found {tmp_path}, wanted the folder that holds "):
        prepare(name, tmp_path, print)


def test_a_seed_changes_the_training_alone(prepared: PipelineConfig) -> None:
    first, second = (config for _, config in of_seeds(prepared, 2))
    assert first == prepared
    assert (second.retrieval.seed, second.ranking.seed) == (prepared.retrieval.seed + 1, prepared.ranking.seed + 1)
    undone = {name: getattr(second, name).model_copy(update={"seed": 17}) for name in ("retrieval", "ranking")}
    assert second.model_copy(update=undone) == prepared


def test_seeds_are_summed_up() -> None:
    def figures(hit_rate: float, **training_s: float) -> Figures:
        metrics = {"hit_rate@10": hit_rate, "ndcg@10": 0.1, "mrr@10": 0.9}
        return Figures({"recall_only": metrics}, training_s)

    made = summary("ml-1m", [figures(0.2, RetrievalTrainer=60.0), figures(0.4, RetrievalTrainer=120.0)])
    assert made["systems"]["recall_only"]["hit_rate@10"] == pytest.approx({"mean": 0.3, "sd": 0.2 / 2**0.5})
    assert list(made["systems"]["recall_only"]) == ["hit_rate@10", "ndcg@10"]
    assert made["published"]["HSTU-large"] == {"hit_rate@10": 0.329, "ndcg@10": 0.189}
    assert made["training_s"] == {"RetrievalTrainer": 90.0}
    assert summary("ml-1m", [figures(0.2)])["systems"]["recall_only"]["hit_rate@10"] == {"mean": 0.2, "sd": 0.0}


def test_each_ranker_is_run_with_its_own_settings(prepared: PipelineConfig) -> None:
    """All but the ranker stays as it is, so that its results are taken from the run before."""
    configs = dict(of_variants("ml-100k-time", prepared))
    assert {name: config.ranking.model.name for name, config in configs.items()} == {name: name for name in RANKERS}
    for config in configs.values():
        ranking = config.ranking.model_copy(update={"model": prepared.ranking.model})
        assert config.model_copy(update={"ranking": ranking}) == prepared
    assert dict(of_variants("amazon-beauty", prepared)) == {"": prepared}


def test_each_loss_is_run_with_all_else_as_it_is() -> None:
    config = load_config(CONFIGS / "synthetic-1m.yaml")
    configs = dict(of_variants("lists-synthetic", config))
    assert {name: each.retrieval.loss for name, each in configs.items()} == {name: name for name in configs}
    assert [*configs] == ["in_batch", "full", "ips", "off_policy"]
    for each in configs.values():
        assert each.model_copy(update={"retrieval": config.retrieval}) == config


def test_figures_are_kept_for_the_same_data_and_settings(prepared: PipelineConfig, tmp_path: Path) -> None:
    events = prepared.dataset.events.model_copy(update={"path": tmp_path / "var" / "data" / "amazon-beauty" / "events.parquet"})
    dataset = prepared.dataset.model_copy(update={"events": events, "items": None})
    config = prepared.model_copy(update={"dataset": dataset})
    path, found = tmp_path / "figures" / "din.json", Figures({"funnel": {"ndcg@10": 0.1}}, {"RankingTrainer": 5.0})
    assert kept_figures(path, config) is None
    keep_figures(path, config, found)
    assert kept_figures(path, config) == found
    (_, _), (_, other) = of_seeds(config, 2)
    assert kept_figures(path, other) is None
    events.path.write_bytes(events.path.read_bytes() + b" ")
    assert kept_figures(path, config) is None


def test_runs_with_several_rankers_become_one_table() -> None:
    def figures(funnel: float, **training_s: float) -> Figures:
        metrics = {"funnel": funnel, "recall_only": 0.2, "popularity": 0.1}
        return Figures({system: {"ndcg@10": value} for system, value in metrics.items()}, training_s)

    runs = {
        "mf": figures(0.3, RetrievalTrainer=9.0, RankingTrainer=1.0),
        "din": figures(0.4, RetrievalTrainer=9.5, RankingTrainer=2.0),
    }
    made = together(runs, {"EASE": {"ndcg@10": 0.25}}, OF_RANKER)
    assert {system: values["ndcg@10"] for system, values in made.metrics.items()} == {
        "funnel, mf": 0.3, "funnel, din": 0.4, "recall_only": 0.2, "popularity": 0.1, "EASE": 0.25,
    }  # fmt: skip
    assert made.training_s == {"RetrievalTrainer": 9.0, "RankingTrainer, mf": 1.0, "RankingTrainer, din": 2.0}
    of_loss = together({"full": figures(0.3, RetrievalTrainer=5.0), "mixed": figures(0.3, RetrievalTrainer=5.0)}, {}, OF_LOSS)
    assert list(of_loss.metrics) == ["funnel, full", "recall_only, full", "funnel, mixed", "recall_only, mixed", "popularity"]
    assert list(of_loss.training_s) == ["RetrievalTrainer, full", "RetrievalTrainer, mixed"]
    assert list(together({"": figures(0.3)}, {}, OF_RANKER).metrics) == ["funnel", "recall_only", "popularity"]


def test_the_truth_says_how_far_each_ranker_is_from_it() -> None:
    runs = {name: Figures({"ranker": {"auc": auc, "log_loss": 0.4}}, {}) for name, auc in (("mf", 0.7), ("din", 0.75))}
    made = together(runs, {"true probability": {"auc": 0.8, "log_loss": 0.3}, "at any position": {"auc": 0.78}}, OF_RANKER)
    assert {system: values[TO_TRUTH] for system, values in made.metrics.items()} == {
        "mf": pytest.approx(0.1), "din": pytest.approx(0.05),
        "true probability": 0, "at any position": pytest.approx(0.02),
    }  # fmt: skip
    assert made.metrics["mf"]["log_loss"] == 0.4


def test_predictions_and_new_items_are_taken_from_the_evaluation() -> None:
    evaluation = {
        "prediction": {"click": {"auc": 0.7, "curve": {"count": [1]}}},
        "slices": {
            "history=0": {"query_count": 70, "metrics": {"funnel": {"recall@10": 0.9}}},
            "item_interactions=0": {"query_count": 60, "metrics": {"funnel": {"recall@10": 0.1}, "random": {"recall@10": 0.2}}},
            "item_interactions=1-5": {"query_count": 90, "metrics": {"funnel": {"recall@10": 0.3}}},
        },
    }
    evaluation["new_items"] = {"query_count": 55, "item_count": 9, "metrics": {"funnel": {"recall@10": 0.4}}}
    assert of_predictions(evaluation) == {"ranker": {"auc": 0.7}}
    assert of_lists_by_item(evaluation) == {
        "funnel, among new": {"moments": 55, "recall@10": 0.4},
        "funnel, 0": {"moments": 60, "recall@10": 0.1},
        "random, 0": {"moments": 60, "recall@10": 0.2},
        "funnel, 1-5": {"moments": 90, "recall@10": 0.3},
    }


SHOWN = {
    "ctr-ml-100k": [*RANKERS],
    "ctr-synthetic": [*RANKERS, "true probability", "at any position"],
    "cold-ml-100k": ["item_to_item, 1-5", "recall_only, among new"],
    "cold-synthetic": ["item_to_item, 1-5", "recall_only, among new"],
    "lists-synthetic": ["recall_only, off_policy", "best possible"],
}


@pytest.mark.parametrize("name", SHOWN)
def test_tables_are_no_wider_than_a_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = {metric: 1_234 if metric == "moments" else 0.25 for metric in BENCHMARKS[name].metrics}
    show_benchmark(summary(name, [Figures(dict.fromkeys(SHOWN[name], values), {"RankingTrainer, dcn_v2_mix": 60.0})] * 3))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= BENCHMARK_WIDTH
    for system in SHOWN[name]:
        assert f"│ {system.replace('_', ' ')} " in shown
    assert "0.2500±0.0000" in shown
    assert ("1,234 " in shown) == ("moments" in BENCHMARKS[name].metrics)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_has_a_config_that_judges_what_is_shown(name: str) -> None:
    config = load_config(BENCHMARKS[name].config or CONFIGS / f"{name}.yaml")
    assert {metric.partition("@")[2] for metric in BENCHMARKS[name].metrics} - {""} <= set(map(str, config.evaluation.k))
    if BENCHMARKS[name].simulated:
        assert config.evaluation.max_queries >= SIMULATION.events * config.samples.split.test


def test_a_group_is_of_benchmarks() -> None:
    assert {each for members in GROUPS.values() for each in members} <= set(BENCHMARKS)
