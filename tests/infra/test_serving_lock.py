"""Whoever installs serving.lock alone can serve: nothing else is imported but where its absence is provided for."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Runs the imports in a process that finds none of the packages which the lock does not name.
IMPORTS = """
import re, sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions

def name(text):
    return re.split("[=[ ]", text)[0].lower().replace("_", "-")

locked = {name(line) for line in open("infra/requirements/serving.lock") if line[0].isalpha()} | {"winnow-recsys"}
absent = {top for top, of in packages_distributions().items() if not locked & set(map(name, of))}
assert {"tfx", "apache_beam", "tf_keras"} <= absent

class OnlyLocked:
    @staticmethod
    def find_spec(module, path=None, target=None):
        return None if module.split(".")[0] in absent else PathFinder.find_spec(module, path, target)

sys.meta_path = [OnlyLocked if finder is PathFinder else finder for finder in sys.meta_path]
import IMPORTED
"""


@pytest.mark.parametrize("module", ["serving.gateway.command_line", "serving.model_server.server"])
def test_what_serves_needs_its_lock_alone(module: str) -> None:
    code = IMPORTS.replace("IMPORTED", module)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
