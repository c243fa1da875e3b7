"""The set-up script, which runs on the system's Python before anything is installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "infra" / "scripts" / "environment.py"


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_imports_the_standard_library_alone() -> None:
    code = (
        f"import sys, runpy; runpy.run_path({str(SCRIPT)!r}, run_name='environment'); "
        "print(sorted({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names) - {'__main__'}))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_finished_environment_is_left_alone() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_input_changes_the_digest(environment: ModuleType) -> None:
    assert {path.name for path in environment.INPUTS} == {"environment.py", "pipeline.lock", "setup.py", "pyproject.toml"}
    assert len(environment.inputs_digest()) == 64


def test_the_locks_agree_where_both_name_a_package() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (ROOT / "infra" / "requirements" / f"{name}.lock").read_text().splitlines()
        return dict(line.split("==") for line in lines if "==" in line and not line.startswith((" ", "#")))

    pipeline, serving = pins("pipeline"), pins("serving")
    assert serving.items() <= pipeline.items()
    assert pipeline["tensorflow"] == "2.20.0"
    assert not {"tfx", "apache-beam", "tensorflow-transform"} & serving.keys()


def test_the_repository_names_no_package_mirror() -> None:
    for name in ("pipeline.lock", "serving.lock", "pipeline.in", "serving.in"):
        assert "://" not in (ROOT / "infra" / "requirements" / name).read_text()
