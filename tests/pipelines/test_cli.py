"""The command line as a user meets it: help, errors, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "data",
    "init",
    "run",
    "tune",
    "serve",
    "rollback",
    "query",
    "ablate",
    "report",
    "demo",
    "submit",
    "schedule",
    "runs",
]


def winnow(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = winnow(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_the_demo_is_of_one_data_set_and_takes_no_config(tmp_path: Path) -> None:
    done = winnow("demo", "--config", str(tmp_path / "shop.yaml"), "--workdir", str(tmp_path / "work"))
    assert done.returncode == 2
    assert "No such option: --config" in done.stderr


def test_help_needs_no_framework() -> None:
    heavy = ["tensorflow", "tfx", "apache_beam", "kfp", "kfp_server_api"]
    code = f"import sys, pipelines.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_config_is_named_and_ends_with_two(tmp_path: Path) -> None:
    done = winnow("run", "--config", str(tmp_path / "none.yaml"), "--workdir", str(tmp_path / "work"))
    assert done.returncode == 2
    assert f"{tmp_path / 'none.yaml'}: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_key_is_named(tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text(
        "name: shop\n"
        "dataset:\n"
        "  events:\n"
        "    path: events.csv\n"
        "    timestmap_unit: s\n"
        "    columns: {user_id: u, item_id: i, timestamp: t}\n"
        "  tasks: {buy: {}}\n"
    )
    done = winnow("run", "--config", str(config), "--workdir", str(tmp_path / "work"))
    assert done.returncode == 2
    assert "dataset.events.timestmap_unit: unknown key" in done.stderr


def test_missing_events_end_with_three_before_any_node(tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text(
        "name: shop\n"
        "dataset:\n"
        "  events: {path: events.csv, columns: {user_id: u, item_id: i, timestamp: t}}\n"
        "  tasks: {buy: {}}\n"
    )
    done = winnow("run", "--config", str(config), "--workdir", str(tmp_path / "work"))
    assert done.returncode == 3
    assert f"dataset.events.path: found no file at {tmp_path / 'events.csv'}" in done.stderr
    assert not (tmp_path / "work" / "artifacts").exists()


def test_serving_and_asking_without_a_release_say_how_to_get_one(tmp_path: Path) -> None:
    for command in ("serve", "query"):
        done = winnow(command, "--workdir", str(tmp_path))
        assert done.returncode == 6
        assert "winnow run" in done.stderr


def test_without_a_release_before_rollback_changes_nothing_and_says_so(tmp_path: Path) -> None:
    done = winnow("rollback", "--workdir", str(tmp_path))
    assert done.returncode not in (0, 70)
    assert "no release is served" in done.stderr


def test_init_refuses_to_overwrite(tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    events.write_text("user,item,time\n" + "".join(f"u{n % 7},i{n % 11},{1_700_000_000 + n}\n" for n in range(200)))
    output = tmp_path / "shop.yaml"
    assert winnow("init", "--events", str(events), "--output", str(output)).returncode == 0
    before = output.read_text()
    again = winnow("init", "--events", str(events), "--output", str(output))
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert output.read_text() == before


def test_synthetic_data_say_what_to_do_next(tmp_path: Path) -> None:
    done = winnow("data", "synthetic", "--events", "2000", "--output", str(tmp_path / "synthetic"))
    assert done.returncode == 0
    assert "winnow init --events" in done.stdout
    assert json.loads((tmp_path / "synthetic" / "config.json").read_text())["events"] == 2000
