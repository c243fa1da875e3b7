"""Why nothing here uses ``kfp.local``: it refuses the compiled pipeline. Once it does not, the README can say otherwise."""

import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "movielens-100k.pipeline.yaml"
PROGRAM = """
import sys
from kfp import dsl, local
from kfp.components import load_component_from_file
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
{what}
"""
WHOLE = "load_component_from_file(sys.argv[1])()"
ONE_CONTAINER = """
@dsl.container_component
def node():
    return dsl.ContainerSpec(image="a/b:1", command=["python", "-m", "pipelines.kubeflow.entrypoint"])
node()
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (WHOLE, "'dsl.ExitHandler' is not yet support"),
        (ONE_CONTAINER, "only supports running Lightweight Python Components"),
    ],
)
def test_kfp_local_refuses(what: str, said: str, tmp_path: Path) -> None:
    """In a process of its own, since kfp keeps the runner for the whole process."""
    program = [sys.executable, "-c", PROGRAM.format(what=what), str(GOLDEN), str(tmp_path)]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode != 0
    assert said in ended.stderr
