"""The served funnel, over the moments of a split and with parts left out."""

import json
from typing import Any

import pytest

from components.errors import ConfigError
from pipelines.ablation import WHOLE, ablated
from pipelines.past_runs import LatestRun
from serving.gateway.settings import GatewaySettings

pytestmark = pytest.mark.e2e


def silent(line: str) -> None:
    pass


def test_recall_by_the_towers_alone_gives_what_the_evaluation_of_the_run_gave(ratings: Any) -> None:
    settings = GatewaySettings(quotas={"two_tower": 300, "popular": 0})
    judged = json.loads((LatestRun(ratings.folder).outputs()["FunnelEvaluator", "evaluation"] / "evaluation.json").read_text())
    found = ablated(ratings.folder, settings, "test", 10_000, silent)
    assert found["moments"] == judged["query_count"]
    assert found["systems"][WHOLE]["ndcg@10"] == pytest.approx(judged["metrics"]["funnel"]["ndcg@10"], abs=1e-6)
    assert [*found["systems"]] == [WHOLE, "without two_tower", "without popular"]
    assert found["systems"]["without popular"] == found["systems"][WHOLE]  # of which there were none


def test_every_source_and_step_is_left_out_once(ratings: Any) -> None:
    settings = GatewaySettings.model_validate(
        {"rerank": {"popularity": {"strength": 0.5}, "diversity": {"method": "mmr", "relevance": 0.5}}}
    )
    found = ablated(ratings.folder, settings, "eval", 50, silent)
    parts = [*settings.quotas, "popularity", "mmr", "re-ranking"]
    assert [*found["systems"]] == [WHOLE, *(f"without {part}" for part in parts)]
    whole = found["systems"][WHOLE]
    for name, gain in found["gain"].items():
        assert gain["estimate"] == pytest.approx(whole["ndcg@10"] - found["systems"][name]["ndcg@10"])
        assert gain["low"] <= gain["estimate"] <= gain["high"]
    assert found["systems"]["without popularity"]["novelty@10"] < whole["novelty@10"]
    assert found["systems"]["without mmr"]["diversity@10"] < whole["diversity@10"]


def test_what_cannot_be_judged_here_is_refused(ratings: Any) -> None:
    settings = GatewaySettings.model_validate({"rerank": {"combination": {"like": {"weight": 1.0}}}})
    with pytest.raises(ConfigError, match="combination"):
        ablated(ratings.folder, settings, "eval", 50, silent)
