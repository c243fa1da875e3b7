"""What `winnow compile` refuses, before it loads anything heavy: one message with the key's path, and no file."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
CONFIG, KUBEFLOW = ROOT / "infra" / "config" / "movielens-100k.yaml", ROOT / "infra" / "config" / "kubeflow.yaml"


def compile_with(folder: Path, output: str = "out/pipeline.yaml", **changes: Any) -> "subprocess.CompletedProcess[str]":
    settings = folder / "kubeflow.yaml"
    settings.write_text(yaml.safe_dump({**yaml.safe_load(KUBEFLOW.read_text()), **changes}))
    command = ["compile", "--config", str(CONFIG), "--kubeflow", str(settings), "--output", str(folder / output)]
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": "winnow"}, "  image: found 'winnow', wanted a tag or a digest, such as winnow:1.4.0"),
        ({"pipeline_root": "winnow/root"}, "  pipeline_root: found 'winnow/root', wanted one of s3://"),
        ({"nodes": {"Evaluater": {}}}, "  nodes.Evaluater: is no node of the pipeline; did you mean Evaluator?"),
        ({"nodes": {"Pusher": {"memory": {"limit": "lots"}}}}, "  nodes.Pusher.memory.limit: found 'lots', wanted a quantity"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_path(tmp_path: Path, changes: dict, said: str) -> None:
    ended = compile_with(tmp_path, **changes)
    assert ended.returncode == ConfigError.exit_code
    assert ended.stderr.startswith(f"winnow: {tmp_path}/kubeflow.yaml:\n")
    assert said in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kubeflow.yaml"]


def test_an_output_that_the_backend_does_not_take_is_refused(tmp_path: Path) -> None:
    ended = compile_with(tmp_path, output="pipeline.json")
    assert ended.returncode == ConfigError.exit_code
    assert "--output: found" in ended.stderr
    assert "wanted a file .yaml: Kubeflow Pipelines takes no other" in ended.stderr
