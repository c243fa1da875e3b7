"""The result of an online experiment as it lies beside the releases."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from components.errors import ArtifactError
from components.evaluation.component import EXPERIMENT_FILE, ab_result
from components.evaluation.gate import AbGuardrail, AbResult


def test_without_an_experiment_there_is_no_result(tmp_path: Path) -> None:
    assert ab_result(tmp_path) is None


def test_a_result_is_read_with_its_guardrails(tmp_path: Path) -> None:
    result = AbResult("click_rate", 0.02, 0.01, 0.03, (AbGuardrail("latency", harmed=True),), sample_ratio_mismatch=True)
    (tmp_path / EXPERIMENT_FILE).write_text(json.dumps(asdict(result)))
    assert ab_result(tmp_path) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the whole file: Invalid JSON"),
        ('{"metric": "click_rate", "lift": 0, "low": 0}', "high: Field required"),
        ('{"metric": "click_rate", "lift": 0, "low": 0, "high": 0, "guardrails": [{"name": "latency"}]}',
         "guardrails.0.harmed: Field required"),
    ],
)  # fmt: skip
def test_what_is_no_result_is_refused_by_its_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / EXPERIMENT_FILE).write_text(text)
    with pytest.raises(ArtifactError, match=message):
        ab_result(tmp_path)
