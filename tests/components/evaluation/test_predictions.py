"""Predicted probabilities beside what came of the samples."""

import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.evaluation.predictions import Outcomes
from tests.components.conftest import sample, serialized, small_config

CONFIG = small_config()
# User, rating at least 4 or not, weight, prediction: the last was not rated.
SAMPLES = [("a", 1, 1, 0.8), ("a", 0, 1, 0.2), ("b", 1, 1, 0.4), ("b", 0, 1, 0.6), ("b", 0, 1, 0.1), ("c", 0, 0, 0.9)]


def write(folder: Path, samples: list[tuple[str, int, int, float]]) -> None:
    (folder / "Split-test").mkdir()
    with tf.io.TFRecordWriter(str(folder / "Split-test" / "data.gz"), "GZIP") as writer:
        for place, (user, label, weight, _) in enumerate(samples):
            values = {"user_id": user, "item_id": f"i{place}", "timestamp_ms": 100 + place}
            labels = {"label_buy": [1.0, 0.0, 0.0], "label_like": float(label), "weight_like": float(weight)}
            writer.write(serialized(CONFIG, sample(CONFIG, **values, **labels)))


def test_outcomes_are_judged_by_hand(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    outcomes = Outcomes.read(CONFIG, tmp_path)
    assert outcomes.item_id.tolist() == [f"i{place}".encode() for place in range(6)]
    assert outcomes.timestamp_ms.tolist() == [100, 101, 102, 103, 104, 105]
    assert list(outcomes.labels) == ["like"]  # whether they bought was told from drawn items, and is not judged here
    predicted = np.array([prob for *_, prob in SAMPLES], np.float32)
    judged = outcomes.judge({"like": predicted, "buy": predicted})
    # 5 of the 6 pairs are in order; of a's 1 pair all, of b's 2 pairs one: (2 * 1 + 3 * 0.5) / 5.
    assert judged["like"]["auc"] == pytest.approx(5 / 6)
    assert judged["like"]["grouped_auc"] == pytest.approx(0.7)
    logs = [math.log(prob) for prob in (0.8, 0.8, 0.4, 0.4, 0.9)]
    assert judged["like"]["log_loss"] == pytest.approx(-sum(logs) / 5, rel=1e-6)
    assert sum(judged["like"]["curve"]["count"]) == 5
    assert list(judged) == ["like"]


def test_slices_that_are_large_enough_are_judged_on_their_own(tmp_path: Path) -> None:
    """Of 600 samples of DE half are positive, of FR a third; 20 of JP are too few."""
    count = {"DE": 600, "FR": 600, "JP": 20}
    (tmp_path / "Split-test").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-test" / "data.gz"), "GZIP") as writer:
        for country, of_country in count.items():
            for place in range(of_country):
                positive = float(place % (3 if country == "FR" else 2) == 0)
                values = {"user_id": "u", "item_id": "i", "timestamp_ms": 1, "country": country}
                labels = {"label_buy": [1.0, 0.0, 0.0], "label_like": positive, "weight_like": 1.0}
                writer.write(serialized(CONFIG, sample(CONFIG, **values, **labels)))
    config = CONFIG.model_copy(update={"ranking": CONFIG.ranking.model_copy(update={"calibration_slice": "country"})})
    outcomes = Outcomes.read(config, tmp_path)
    judged = outcomes.judge({"like": np.full(1220, 0.5, np.float32)})["like"]["calibration_by_slice"]
    assert {value: found["sample_count"] for value, found in judged.items()} == {"DE": 600, "FR": 600}
    assert judged["DE"]["calibration_error"] == pytest.approx(0.0)
    assert judged["FR"]["calibration_error"] == pytest.approx(1 / 6)
    assert judged["FR"]["observed_rate"] == pytest.approx(1 / 3)


def test_no_more_samples_are_read_than_are_wanted(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    config = CONFIG.model_copy(update={"evaluation": CONFIG.evaluation.model_copy(update={"max_queries": 2})})
    assert len(Outcomes.read(config, tmp_path).samples) == 2


def test_what_never_or_always_happens_is_not_judged(tmp_path: Path) -> None:
    write(tmp_path, [each for each in SAMPLES if not each[1]])
    assert Outcomes.read(CONFIG, tmp_path).judge({"like": np.full(4, 0.5, np.float32)}) == {}


def test_without_an_observed_task_nothing_is_read(tmp_path: Path) -> None:
    dataset = CONFIG.dataset.model_copy(update={"tasks": {"buy": CONFIG.dataset.tasks["buy"]}})
    outcomes = Outcomes.read(CONFIG.model_copy(update={"dataset": dataset}), tmp_path)
    assert outcomes.samples == []
    assert outcomes.judge({}) == {}
