"""The commands as a user meets them, in processes of their own: what they print, what they keep to themselves, how they end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipelines.kubeflow.client.kfp_api import KubeflowPipelinesApi

ROOT = Path(__file__).resolve().parents[4]
TOKEN = "token-of-a-test"  # noqa: S105
FOLLOWED = ["--wait", "--poll-seconds", "0.01", "--name", "one"]


@pytest.fixture
def environment(api: KubeflowPipelinesApi, tmp_path: Path) -> dict[str, str]:
    api.switches.token = TOKEN
    own = {"KFP_ENDPOINT": api.url, "KFP_EXISTING_TOKEN": TOKEN, "HOME": str(tmp_path), "COLUMNS": "200"}
    return {**os.environ, **own, "PYTHONPATH": str(ROOT)}


def begin(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipelines.cli", *arguments, "--workdir", f"{environment['HOME']}/work"]
    return subprocess.Popen(
        command,
        cwd=environment["HOME"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # who runs the tests may ignore it
    )


def winnow(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = begin(environment, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_submit_schedule_and_list_for_programs(
    environment: dict[str, str], api: KubeflowPipelinesApi, pipeline_yaml: Path, tmp_path: Path
) -> None:
    package = ["--package", str(pipeline_yaml), "--json"]
    code, out, err = winnow(
        environment, "submit", *package, "--wait", "--poll-seconds", "0.01", "--set", "span=3", "--name", "one"
    )
    submitted = json.loads(out)
    assert (code, submitted["state"]) == (0, "SUCCEEDED")
    nodes = ["ingest", "samples", "pusher", "report"]
    assert submitted["nodes"] == dict.fromkeys(nodes, "SUCCEEDED")
    _, started, *ended = err.splitlines()
    assert started == f"Run one: {submitted['link']}"
    assert [line.split()[1:3] for line in ended] == [[node, "succeeded"] for node in nodes]
    assert submitted["link"] == f"{api.url}/#/runs/details/{submitted['run_id']}"
    assert api.runs[submitted["run_id"]].runtime_config.parameters == {"span": 3}

    code, out, err = winnow(environment, "schedule", *package, "--cron", "0 3 * * *")
    scheduled = json.loads(out)
    assert code == 0
    assert err.splitlines()[1:] == ["Schedule shop: 0 0 3 * * * (seconds first)"]
    assert (scheduled["cron"], scheduled["schedule"], scheduled["uploaded"]) == ("0 0 3 * * *", "shop", False)

    code, out, err = winnow(environment, "runs", "--json")
    assert (code, err) == (0, "")
    listed = json.loads(out)
    assert [run["run_id"] for run in listed["runs"]] == [submitted["run_id"]]
    assert [each["schedule_id"] for each in listed["schedules"]] == [scheduled["schedule_id"]]

    kept = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert "Experiment details" in kept  # what kfp's client prints goes to the log
    assert TOKEN not in kept


def test_what_the_settings_say_of_runs_goes_with_a_run(
    environment: dict[str, str], api: KubeflowPipelinesApi, tmp_path: Path
) -> None:
    """The compiled file carries the pipeline root; it has no place for the service account."""
    settings = yaml.safe_load((ROOT / "infra" / "config" / "kubeflow.yaml").read_text())
    settings |= {"pipeline_root": "s3://elsewhere/root", "service_account": "trainer"}
    (tmp_path / "kubeflow.yaml").write_text(yaml.safe_dump(settings))
    config = ["--config", str(ROOT / "infra/config/movielens-100k.yaml"), "--kubeflow", str(tmp_path / "kubeflow.yaml")]
    code, out, err = winnow(environment, "submit", *config, "--json")
    assert (code, [line.split()[0] for line in err.splitlines()]) == (0, ["Pipeline", "Run"])
    run = api.runs[json.loads(out)["run_id"]]
    assert (run.runtime_config.pipeline_root, run.service_account) == ("s3://elsewhere/root", "trainer")

    package = ["--package", str(tmp_path / "work" / "pipeline.yaml"), "--cron", "0 3 * * *"]
    code, out, err = winnow(environment, "schedule", *package, "--service-account", "other", "--json")
    assert (code, [line.split()[0] for line in err.splitlines()]) == (0, ["Pipeline", "Schedule"])
    [scheduled] = api.recurring.values()
    assert (scheduled.runtime_config.pipeline_root, scheduled.service_account) == ("s3://elsewhere/root", "other")


def test_a_person_sees_the_nodes_and_why_the_run_failed(
    environment: dict[str, str], api: KubeflowPipelinesApi, pipeline_yaml: Path
) -> None:
    api.switches.fails = "samples"
    code, out, err = winnow(environment, "submit", "--package", str(pipeline_yaml), *FOLLOWED)
    (run_id,) = api.runs
    link = f"{api.url}/#/runs/details/{run_id}"
    assert code == 8
    assert err == f"winnow: run 'one' failed: node samples failed. Its logs: {link}\n"
    version = next(iter(api.versions.values())).display_name
    assert out.splitlines() == [
        f"Pipeline shop, version {version}: uploaded",
        f"Run one: {link}",
        "  1/4 ingest                 succeeded        7 s",
        "  2/4 samples                failed           7 s",
        "  3/4 pusher                 skipped",
        "  4/4 report                 skipped",
    ]
    code, out, _ = winnow(environment, "runs")
    assert code == 0
    assert "No schedules" in out
    assert "FAILED" in out
    assert run_id in out


def test_an_interrupted_wait_leaves_the_run_and_says_so(
    environment: dict[str, str], api: KubeflowPipelinesApi, pipeline_yaml: Path
) -> None:
    api.switches.hangs = True
    process = begin(environment, "submit", "--package", str(pipeline_yaml), "--wait", "--poll-seconds", "0.05")
    assert api.wait_for("run_service_get_run", count=2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    (run,) = api.runs.values()
    assert process.returncode == 130
    assert err == f"winnow: interrupted; the run goes on on the cluster: {api.url}/#/runs/details/{run.run_id}\n"
    assert run.state == "RUNNING"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["submit"], 2, "winnow: found neither, wanted one of --config (compiled first) and --package (compiled before)"),
        (["submit", "--package", "none.yaml"], 4, "winnow: none.yaml: cannot be read (No such file or directory)"),
        (["schedule", "--package", "none.yaml", "--cron", "at night"], 2, "winnow: --cron 'at night': found 2 fields"),
        (["runs", "--token", "wrong"], 7, "who asks was not accepted"),
        (["runs", "--endpoint", "http://127.0.0.1:1"], 7, "Kubeflow Pipelines cannot be reached: nothing listens there"),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(
    environment: dict[str, str], arguments: list[str], code: int, message: str
) -> None:
    ended, out, err = winnow(environment, *arguments)
    assert (ended, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1
