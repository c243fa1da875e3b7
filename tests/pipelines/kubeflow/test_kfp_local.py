"""Why nothing here uses ``kfp.local``: it refuses the compiled pipeline. Once it does not, the README can say otherwise."""

import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "movielens-100k.pipeline.yaml"
PROGRAM = """
import sys
from kfp import local
from kfp.components import load_component_from_file
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
load_component_from_file(sys.argv[1])()
"""


def test_kfp_local_refuses_nodes_that_are_containers(tmp_path: Path) -> None:
    """In a process of its own, since kfp keeps the runner for the whole process."""
    program = [sys.executable, "-c", PROGRAM, str(GOLDEN), str(tmp_path)]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode != 0
    assert "The SubprocessRunner only supports running Lightweight Python Components" in ended.stderr
