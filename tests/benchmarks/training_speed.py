"""Examples a second and peak memory of each model in training, on two cores, beside the naive loop of TFRS' tutorial.

``python -m tests.benchmarks.training_speed [--workdir RUN]``: one JSON object a model on standard output, a table on standard
error. Everything learns from MovieLens 100K; each model trains in a process of its own, which counts the memory of the
libraries and of the data too. An example is a sample of a ranker, with the candidates that it is told from, or an item that a
query tower learns to find. The first epoch reads the data and traces the graph, and is not counted.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.config.rankers import RANKERS

ROOT = Path(__file__).resolve().parents[2]
MOVIELENS = ROOT / "infra" / "config" / "movielens-100k.yaml"
CORES, EPOCHS = 2, 4
TOWERS: dict[str, dict[str, str]] = {
    "pooled_full": {"query_tower": "pooled", "loss": "full"},
    "pooled_in_batch": {"query_tower": "pooled", "loss": "in_batch"},
    "self_attention_full": {"query_tower": "self_attention", "loss": "full"},
    "gru_full": {"query_tower": "gru", "loss": "full"},
}
TUTORIAL = ("tfrs_tutorial", "tfrs_tutorial_without_metrics")
NAMES = (*TOWERS, *RANKERS, *TUTORIAL)
Seconds = list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(NAMES)}; all by default")
    parser.add_argument("--workdir", type=Path, help="of a finished run of MovieLens 100K; by default one is made")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measured(arguments.names[0], arguments.workdir)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows = []
        for row in speeds(Path(scratch), arguments.workdir, arguments.names or NAMES):
            print(json.dumps(row), flush=True)
            rows.append(row)
        print(table(rows), file=sys.stderr)


def speeds(scratch: Path, workdir: Path | None, names: tuple[str, ...] | list[str] = NAMES) -> Iterator[dict[str, Any]]:
    """A row for each model: name, examples a second, peak memory."""
    if workdir is None:
        workdir = scratch / "run"
        _call(["-m", "pipelines.cli", "data", "movielens-100k"])
        _call(["-m", "pipelines.cli", "run", "--config", str(MOVIELENS), "--workdir", str(workdir)])
    for name in names:
        yield json.loads(_call(["-m", "tests.benchmarks.training_speed", name, "--child", "--workdir", str(workdir.resolve())]))


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| model | examples a second | an epoch | peak memory |", "|---|---:|---:|---:|"]
    for row in rows:
        speed, epoch, memory = row["examples_per_s"], row["epoch_s"], row["peak_rss_mib"]
        lines.append(f"| {row['model']} | {speed:,.0f} | {epoch:.2f} s | {memory:,.0f} MiB |")
    return "\n".join(lines)


def measured(name: str, workdir: Path) -> dict[str, Any]:
    """One model, by this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    if name in TUTORIAL:
        examples, seconds = _tutorial(name == "tfrs_tutorial")
    else:
        examples, seconds = _trained(name, workdir)
    epoch_s = statistics.median(seconds[1:])
    peak_rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "model": name, "examples": examples, "examples_per_s": round(examples / epoch_s, 1), "epoch_s": round(epoch_s, 3),
        "first_epoch_s": round(seconds[0], 2), "peak_rss_mib": round(peak_rss_mib, 1),
    }  # fmt: skip


def _trained(name: str, workdir: Path) -> tuple[int, Seconds]:
    """Examples of an epoch and seconds of each, by the pipeline's own training."""
    import tensorflow as tf

    from components.config import load_config
    from components.ranking import trainer as ranking
    from components.retrieval import trainer as retrieval
    from components.schema.features import read_interactions
    from components.training.context import TrainingContext
    from pipelines.past_runs import latest_outputs

    outputs = latest_outputs(workdir)
    section = "retrieval" if name in TOWERS else "ranking"
    chosen: dict[str, Any] = {"epochs": EPOCHS, "patience": EPOCHS}
    chosen |= TOWERS.get(name, {"model": name})
    config = load_config(MOVIELENS)
    document = config.model_dump(mode="json")
    document[section] |= chosen
    examples = outputs["Samples", "examples"]
    with tempfile.TemporaryDirectory() as scratch:
        inputs = {"event_log": outputs["Ingest", "event_log"], "catalogue": outputs["Ingest", "catalogue"],
                  "features": outputs["Samples", "features"], "retrieval": outputs["RetrievalTrainer", "model"],
                  "index": outputs["IndexBuilder", "index"]}  # fmt: skip
        arguments = SimpleNamespace(
            transform_output=str(outputs["Transform", "transform_graph"]),
            train_files=[f"{examples}/Split-train/*"],
            eval_files=[f"{examples}/Split-eval/*"],
            serving_model_dir=f"{scratch}/model",
            model_run_dir=f"{scratch}/run",
            custom_config={
                "config": json.dumps(document),
                "inputs": {key: str(value) for key, value in inputs.items()},
                "checkpoints": scratch,
            },
            hyperparameters=None,
        )
        context = TrainingContext.of(arguments, name, section)
        fit: Callable[..., Any] = retrieval.fit if section == "retrieval" else ranking.fit
        fitted = fit(context, tf.distribute.get_strategy())
    if section == "retrieval" and context.config.retrieval.query_tower != "pooled":
        # An epoch teaches each of the positives once, whatever the windows that they lie in.
        return read_interactions(context.inputs["features"]).num_rows, fitted.progress.seconds
    steps = int(fitted.model.optimizer.iterations) // fitted.progress.epochs
    return steps * getattr(context.config, section).batch_size, fitted.progress.seconds


def _tutorial(with_metrics: bool) -> tuple[int, Seconds]:
    """The basic retrieval tutorial of TensorFlow Recommenders: towers of one lookup and one embedding, batches of 8,192."""
    import csv

    import numpy as np
    import tensorflow as tf
    import tensorflow_recommenders as tfrs
    import tf_keras as keras

    from components.config import load_config  # isort: split  # says which Keras TFRS is to take

    events = load_config(MOVIELENS).dataset.events
    with Path(events.path).open(newline="") as file:
        ratings = list(csv.DictReader(file, delimiter="\t"))
    users, films = (np.array([line[key] for line in ratings]) for key in ("user_id:token", "item_id:token"))
    order = np.random.default_rng(42).permutation(len(users))[:80_000]
    train = tf.data.Dataset.from_tensor_slices({"user": users[order], "film": films[order]})

    def tower(names: Any) -> keras.Sequential:
        lookup = keras.layers.StringLookup(vocabulary=np.unique(names), mask_token=None)
        return keras.Sequential([lookup, keras.layers.Embedding(lookup.vocabulary_size(), 32)])

    class Model(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.of_user, self.of_film = tower(users), tower(films)
            candidates = tf.data.Dataset.from_tensor_slices(np.unique(films)).batch(128).map(self.of_film)
            metrics = tfrs.metrics.FactorizedTopK(candidates=candidates) if with_metrics else None
            self.task = tfrs.tasks.Retrieval(metrics=metrics)

        def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
            return self.task(self.of_user(inputs["user"]), self.of_film(inputs["film"]), compute_metrics=with_metrics)

    model = Model()
    model.compile(optimizer=keras.optimizers.legacy.Adagrad(0.1))
    batches = train.shuffle(100_000).batch(8_192).cache()
    seconds = []
    for _ in range(EPOCHS):
        started = time.monotonic()
        model.fit(batches, epochs=1, verbose=0)
        seconds.append(time.monotonic() - started)
    return len(order), seconds


def _call(command: list[str]) -> str:
    print("$", " ".join(command), file=sys.stderr, flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    lines = ended.stdout.splitlines()
    return lines[-1] if lines else ""


if __name__ == "__main__":
    main()
