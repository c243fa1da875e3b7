"""`make bench-serving`: one JSON object a line on standard output, progress on standard error.

Client and servers run on this machine and share its cores, over loopback. The releases are those of ``--workdir``, copied;
nothing of it is changed. They are served as `make serve` does it, with the settings for them and a log writer. Without
``--full`` everything is shorter, and the figures are rougher.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from components.push.registry import Registry
from infra.scripts.environment import TOOLS, child_environment
from tests.benchmarks.serving.faults import FAULTS
from tests.benchmarks.serving.load import ROOT
from tests.benchmarks.serving.soak import RATE, soak
from tests.benchmarks.serving.speed import speed
from tests.benchmarks.serving.stack import Stack

HOUR_OF_REQUESTS = 36_000  # ten a second
OTHERS = ROOT / "var" / "benchmark-indexes"
OTHER_INDEXES = ("hnswlib==0.8.0", "faiss-cpu==1.12.0")
Line = Mapping[str, object]
Benchmark = Callable[[argparse.Namespace], Iterator[Line]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which to run; all by default")
    parser.add_argument("--workdir", type=Path, default=ROOT / "var" / "demo", help="whose releases to serve")
    parser.add_argument("--settings", type=Path, help="by default those named as the release, in infra/config/gateway")
    parser.add_argument("--full", action="store_true", help="an hour of traffic, a million items, longer loads")
    arguments = parser.parse_args()
    cores = os.cpu_count()
    print(json.dumps({"name": "cores_shared_by_client_and_servers", "value": cores, "unit": "1"}), flush=True)
    for name in arguments.names or BENCHMARKS:
        print("$", name, file=sys.stderr, flush=True)
        for line in BENCHMARKS[name](arguments):
            print(json.dumps(line), flush=True)


def _on_stack(measure: Callable[[Stack, bool], Iterator[Line]]) -> Benchmark:
    def run(arguments: argparse.Namespace) -> Iterator[Line]:
        releases = arguments.workdir / "releases"
        settings = arguments.settings or _settings_for(Registry(releases))
        with tempfile.TemporaryDirectory() as scratch, Stack(releases, Path(scratch), settings) as stack:
            yield from measure(stack, arguments.full)

    return run


def _settings_for(registry: Registry) -> Path | None:
    """The file with the name of what is served, None where there is none."""
    version = registry.current()
    assert version is not None, f"{registry.folder} holds no release"
    file = ROOT / "infra" / "config" / "gateway" / f"{registry.manifest(version).name}.yaml"
    return file if file.exists() else None


def _figures(made: Iterator[tuple[str, float, str]]) -> Iterator[Line]:
    return ({"name": name, "value": round(value, 4), "unit": unit} for name, value, unit in made)


def _faults(stack: Stack, full: bool) -> Iterator[Line]:
    for fault, run in FAULTS.items():
        yield run(stack, 30.0, 6.0 if full else 3.0).row(fault)


def _recall(arguments: argparse.Namespace) -> Iterator[Line]:
    """In a process of its own, with the two libraries that winnow does not use in a folder of their own."""
    install = [TOOLS / "bin" / "uv", "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", OTHERS]
    subprocess.run([*install, *OTHER_INDEXES], env=child_environment(), stdout=sys.stderr, check=True)
    items = 1_000_000 if arguments.full else 100_000
    command = [sys.executable, "-m", "tests.benchmarks.serving.recall_1m", f"--items={items}", f"--others={OTHERS}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


BENCHMARKS: dict[str, Benchmark] = {
    "speed": _on_stack(lambda stack, full: _figures(speed(stack, 20.0 if full else 8.0))),
    "recall": _recall,
    "soak": _on_stack(lambda stack, full: _figures(soak(stack, (HOUR_OF_REQUESTS if full else 2_400) / RATE))),
    "faults": _on_stack(_faults),
}

if __name__ == "__main__":
    main()
