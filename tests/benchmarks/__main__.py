"""`make bench`: one JSON object a line on standard output, progress on standard error.

Each measurement runs in processes of its own, so that start-up is counted and memory is that of the whole run.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import training_speed

ROOT = Path(__file__).resolve().parents[2]
WINNOW = [sys.executable, "-m", "pipelines.cli"]
MOVIELENS = ROOT / "infra" / "config" / "movielens-100k.yaml"
Figure = tuple[str, float, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which to run; all by default")
    parser.add_argument("--events", type=int, default=1_000_000, help="size of the synthetic data set")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.names or BENCHMARKS:
            for figure, value, unit in BENCHMARKS[name](Path(scratch), arguments.events):
                print(json.dumps({"name": figure, "value": round(value, 3), "unit": unit}), flush=True)


def movielens(scratch: Path, _: int) -> Iterator[Figure]:
    """The whole pipeline on MovieLens 100K, and again with nothing changed."""
    _timed([*WINNOW, "data", "movielens-100k"])
    command = [*WINNOW, "run", "--config", str(MOVIELENS), "--workdir", str(scratch / "movielens"), "--json"]
    yield "run_movielens_s", _timed(command), "s"
    yield "peak_rss_mib", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, "MiB"
    yield "run_cached_s", _timed(command), "s"


def ingest_and_samples(scratch: Path, events: int) -> Iterator[Figure]:
    """Ingest and Samples on synthetic events, in one process, TensorFlow's import not counted."""
    data = scratch / "synthetic"
    _timed([*WINNOW, "data", "synthetic", "--events", str(events), "--output", str(data)])
    command = [sys.executable, "-m", "tests.benchmarks.ingest_samples", str(data), str(scratch / "work")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    yield "ingest_samples_events_per_s", events / measured["seconds"], "1/s"
    yield f"ingest_samples_peak_rss_mib_at_{events}", measured["peak_rss_mib"], "MiB"


def training(scratch: Path, _: int) -> Iterator[Figure]:
    """Each ranker and query tower on MovieLens 100K, beside the naive loop of TFRS' tutorial."""
    for row in training_speed.speeds(scratch, None):
        yield f"training_{row['model']}_examples_per_s", row["examples_per_s"], "1/s"
        yield f"training_{row['model']}_peak_rss_mib", row["peak_rss_mib"], "MiB"


def optimizers(_: Path, __: int) -> Iterator[Figure]:
    """A step of each optimizer on a large embedding table."""
    # Here, since it imports TensorFlow, which the others do in processes of their own.
    from tests.benchmarks.optimizer_speed import step_times

    yield from step_times()


def _timed(command: list[str]) -> float:
    print("$", " ".join(command[2:]), file=sys.stderr, flush=True)
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    return time.monotonic() - started


BENCHMARKS: dict[str, Callable[[Path, int], Iterator[Figure]]] = {
    "movielens": movielens,
    "ingest_samples": ingest_and_samples,
    "training": training,
    "optimizers": optimizers,
}

if __name__ == "__main__":
    main()
