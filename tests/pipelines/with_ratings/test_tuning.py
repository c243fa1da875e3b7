"""`winnow tune` as a user runs it: killed in the middle, run again, and its config run."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from components.config import load_config
from components.errors import ConfigError
from pipelines.tuning import last_tuner, write_tuned
from tests.full import full
from tests.pipelines.conftest import Workdir, ratings_config, write_ratings, written

ROOT = Path(__file__).resolve().parents[3]
TRIALS = 4


def started(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = ["tune", "--config", str(folder / "config.yaml"), "--workdir", str(folder / "work"), *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended_trials(folder: Path) -> dict[str, str]:
    """The notes of the trials that have ended, by their name."""
    notes = {
        path.parent.name: path.read_text() for path in (folder / "work" / "checkpoints").glob("*/search/trial_*/trial.json")
    }
    return {name: text for name, text in notes.items() if '"COMPLETED"' in text}


@pytest.mark.e2e
@full("five minutes")
@pytest.mark.timeout(1_800)
def test_a_killed_search_goes_on_and_its_config_can_be_run(ratings: Workdir, tmp_path: Path) -> None:
    shutil.copytree(ratings.folder, tmp_path / "work")
    write_ratings(tmp_path / "ratings.csv")
    config = ratings_config()
    config["ranking"] = {**config["ranking"], "epochs": 3}
    config["tuning"] = {
        "max_trials": TRIALS, "parallel": 2, "search": "random",
        "ranking": {"learning_rate": {"min": 0.001, "max": 0.1, "scale": "log"}, "model": {"choices": ["mf", "dcn_v2"]}},
    }  # fmt: skip
    written(tmp_path, config)
    output = tmp_path / "tuned" / "config.yaml"

    with started(tmp_path, "--output", str(output)) as process:
        while not ended_trials(tmp_path):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.kill()
    before = ended_trials(tmp_path)
    assert 1 <= len(before) < TRIALS, "it had ended before it was killed"

    with started(tmp_path, "--output", str(output), "--json") as process:
        said, errors = process.communicate()
    assert process.returncode == 0, errors
    after = ended_trials(tmp_path)
    assert len(after) == TRIALS
    assert {name: after[name] for name in before} == before, "a trial that had ended was trained again"
    [search] = json.loads(said)["searches"]
    assert (search["section"], search["metric"], len(search["trials"])) == ("ranking", "ndcg_at_10", TRIALS)
    best = search["trials"][0]
    assert best["score"] == max(trial["score"] for trial in search["trials"])

    tuned = load_config(output)
    assert tuned.tuning is None
    assert tuned.ranking.learning_rate == best["values"]["learning_rate"]
    assert tuned.ranking.model.name == best["values"]["model"]
    assert tuned.dataset.events.path.resolve() == tmp_path / "ratings.csv"
    assert f"{best['score']:.5f}  " in output.read_text()


@pytest.fixture
def searching(tmp_path: Path) -> Path:
    write_ratings(tmp_path / "ratings.csv")
    config = ratings_config()
    config["ranking"] = {key: value for key, value in config["ranking"].items() if key != "model"}
    config["tuning"] = {
        "max_trials": 2,
        "ranking": {"model.dropout": {"min": 0.0, "max": 0.5}, "heads": {"choices": ["mmoe", "ple"]}},
    }
    return written(tmp_path, config)


def test_the_config_says_what_was_tried(searching: Path, tmp_path: Path) -> None:
    trials = [
        {"values": {"model.dropout": 0.25, "heads": "ple"}, "score": 0.125, "failure": ""},
        {"values": {"model.dropout": 0.5, "heads": "mmoe"}, "score": None, "failure": "out of memory"},
    ]
    output = tmp_path / "elsewhere" / "tuned.yaml"
    output.parent.mkdir()
    write_tuned(searching, output, [{"section": "ranking", "metric": "ndcg_at_10", "trials": trials}])
    text = output.read_text()
    assert text.startswith(
        "# config.yaml with the settings that `winnow tune` has found; its own comments are there.\n"
        "#\n"
        "# ranking: 2 trials by ndcg_at_10 on the validation split, the best first\n"
        '#   0.12500  model.dropout: 0.25, heads: "ple"\n'
        '#   failed (out of memory)  model.dropout: 0.5, heads: "mmoe"\n'
    )
    assert "#   tuning:\n" in text
    document = yaml.safe_load(text)
    assert document["ranking"]["model"] == {"name": "dcn_v2", "dropout": 0.25}
    assert document["ranking"]["heads"] == "ple"
    assert document["dataset"]["events"]["path"] == "../ratings.csv"
    before = load_config(searching)
    assert (
        load_config(output).model_copy(update={"ranking": before.ranking, "tuning": before.tuning}).retrieval
        == before.retrieval
    )


def test_a_config_that_searches_for_nothing_is_refused(tmp_path: Path) -> None:
    write_ratings(tmp_path / "ratings.csv")
    file = written(tmp_path, ratings_config())
    with pytest.raises(ConfigError, match=r"config\.yaml: found no `tuning`, wanted what to search for, such as tuning: \{"):
        last_tuner(load_config(file), file)


def test_the_last_search_is_that_of_the_last_model(searching: Path) -> None:
    assert last_tuner(load_config(searching), searching) == "RankingTuner"
