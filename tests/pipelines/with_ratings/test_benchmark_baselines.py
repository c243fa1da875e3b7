"""The models of others on the artifacts of a run: each is made once, and made again where its settings change."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.config import parse_config
from components.evaluation.library_baselines import Bpr, Ials
from pipelines.benchmark_baselines import FILE, Baselines, baseline_metrics

pytestmark = pytest.mark.e2e
SETTINGS = Baselines(Ials(4, 0.1, 1.0, 3), Bpr(4, 0.05, 0.01, 5), ease_l2=20.0)


def test_what_was_made_is_not_made_again(ratings: Any, tmp_path: Path) -> None:
    workdir = tmp_path / "work"
    shutil.copytree(ratings.folder, workdir)
    config = parse_config((ratings.registry.bundle(ratings.registry.current()) / "config.json").read_text(), origin="test")
    said: list[str] = []
    made = baseline_metrics(config, workdir, SETTINGS, 0, said.append)
    assert [line.partition(":")[0] for line in said] == ["iALS", "BPR", "EASE"]
    for metrics in made.values():
        assert {f"{metric}@{k}" for metric in ("ndcg", "recall", "hit_rate", "mrr") for k in config.evaluation.k} <= set(
            metrics
        )
        assert 0 < metrics["hit_rate@10"] <= 1

    said.clear()
    assert baseline_metrics(config, workdir, SETTINGS, 0, said.append) == made
    assert said == []
    other = baseline_metrics(config, workdir, replace(SETTINGS, ease_l2=200.0), 0, said.append)
    assert [line.partition(":")[0] for line in said] == ["EASE"]
    assert {name: other[name] for name in ("iALS", "BPR")} == {name: made[name] for name in ("iALS", "BPR")}
    assert (workdir / FILE).exists()
