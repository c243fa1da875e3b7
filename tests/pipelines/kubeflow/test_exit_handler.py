"""The exit handler as a process: what it logs, what it posts, and how it ends."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from pipelines.kubeflow.exit_handler import outcome, post, status_in
from pipelines.kubeflow.node_spec import WEBHOOK_ENV
from tests.pipelines.kubeflow.conftest import webhook

FAILURE = {
    "state": "FAILED", "pipelineTaskName": "pipeline", "pipelineJobResourceName": "shop-x7", "error": {"message": "no disk"},
}  # fmt: skip


def executor_input(status: Any) -> str:
    return json.dumps({"inputs": {"parameterValues": {"status": status}}})


def report(status: Any, url: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = ["-m", "pipelines.kubeflow.exit_handler", "--executor_input", executor_input(status), "--pipeline", "shop"]
    environment = {**os.environ, **({WEBHOOK_ENV: url} if url else {})}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("status", [FAILURE, json.dumps(FAILURE)])
def test_a_failure_is_logged_and_posted(status: Any) -> None:
    posted: list[dict[str, Any]] = []
    with webhook(posted) as url:
        ended = report(status, url)
    wanted = {"pipeline": "shop", "run": "shop-x7", "state": "FAILED", "succeeded": False, "error": "no disk"}
    assert ended.returncode == 0
    assert posted == [wanted]
    assert f"ERROR winnow.exit_handler: {json.dumps(wanted)}" in ended.stderr


def test_without_a_webhook_the_log_is_enough() -> None:
    ended = report({"state": "SUCCEEDED", "error": {}})
    assert ended.returncode == 0
    assert "INFO winnow.exit_handler:" in ended.stderr
    assert "tensorflow" not in ended.stderr.lower()


def test_a_webhook_that_is_down_fails_the_task_and_shows_no_secret() -> None:
    ended = report(FAILURE, "http://127.0.0.1:9/hook?token=s3cret")
    assert ended.returncode == 1
    assert "attempt 3 of 3 failed" in ended.stderr
    assert "s3cret" not in ended.stderr + ended.stdout


def test_a_webhook_of_another_kind_is_refused() -> None:
    assert post("file:///etc/passwd", {}) is False


def test_a_status_that_is_missing_is_unknown() -> None:
    assert outcome("shop", status_in('{"inputs": {}}'))["state"] == "UNKNOWN"
    assert outcome("shop", {"state": "COMPLETE"})["succeeded"]
