"""The search for better settings: trials, each a training like any other, whose settings an oracle of keras-tuner proposes.

The oracle's notes, one small file a trial, lie beside the checkpoints of trainings, so that a search that was killed goes on
after its last trial, within which the training goes on after its last epoch. They are kept, for a search of the same with
more trials goes on from them too.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras_tuner
import tensorflow as tf
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, RandomSearchOracle

from components.config import TuningConfig
from components.config.tuning import Searched, decoded, encoded
from components.errors import ConfigError
from components.storage.object_store import ObjectStore, is_uri
from components.training import trial as trials
from components.training.context import TrainingContext
from components.training.trial import ImpossibleError, Job, Outcome

ORACLES = {"bayesian": BayesianOptimizationOracle, "random": RandomSearchOracle}
LOG_TAIL_LINES = 20
logger = logging.getLogger("winnow.tuning")
Runner = Callable[[Mapping[str, Any], int], Outcome]


class Tuning(NamedTuple):
    """What TFX's Tuner wants of a ``tuner_fn``: its own TunerFnResult, without importing TFX."""

    tuner: BaseTuner
    fit_kwargs: dict[str, Any]


def tuning_of(job: Job, metric: Callable[[TrainingContext], str], fn_args: Any, node: str, section: str) -> Tuning:
    """The search for settings of a section.

    Args:
      job: trains one model, and does not save it; a function of a module. metric: names the one to be greatest.
    """
    arguments = {name: getattr(fn_args, name) for name in ("train_files", "eval_files", "custom_config")}
    arguments["transform_output"] = fn_args.transform_graph_path
    context = trials.context_of(arguments, node, section)
    tuning = context.config.tuning
    if tuning is None:
        raise ConfigError(f"tuning: found none, wanted the values to try for {section}")

    def here(values: Mapping[str, Any], _: int) -> Outcome:
        return trials.run(job, context, section, values)

    def apart(values: Mapping[str, Any], place: int) -> Outcome:
        order = {"job": [job.__module__, job.__name__], "of": [node, section], "arguments": arguments, "values": dict(values)}
        return _by_process(order, place)

    return Tuning(TrialTuner(apart if tuning.parallel > 1 else here, metric(context), context, tuning, section), {})


class TrialTuner(BaseTuner):
    """Has the trials run that its oracle proposes, as many at a time as the settings say.

    Args:
      run: trains with values; the number is the trial's place among those that run at the same time.
    """

    def __init__(self, run: Runner, metric: str, context: TrainingContext, tuning: TuningConfig, section: str) -> None:
        self._run, self._metric, self._section, self._parallel = run, metric, section, tuning.parallel
        self._writing, self._place = threading.Lock(), threading.local()
        # Another number of trials, in all or at a time, is the same search.
        key = context.key(context.config.model_dump_json(exclude={"tuning": {"max_trials", "parallel"}}))
        self._notes = _Notes(f"{context.checkpoints.rstrip('/')}/{key}")
        oracle = ORACLES[tuning.search](
            objective=keras_tuner.Objective(metric, "max"),
            max_trials=tuning.max_trials,
            hyperparameters=space_of(getattr(tuning, section)),
            seed=tuning.seed,
        )
        super().__init__(oracle, directory=str(self._notes.folder), project_name="search")

    def search(self, *_: Any, **__: Any) -> None:
        """
        Raises:
          ConfigError: no trial has been trained to its end.
        """
        with ThreadPoolExecutor(self._parallel) as pool:
            for worker in [pool.submit(self._work, place) for place in range(self._parallel)]:
                worker.result()
        if not any(trial["score"] is not None for trial in self.record()["trials"]):
            last = self.oracle.trials[self.oracle.end_order[-1]]
            raise ConfigError(f"tuning: no trial of {self._section} could be trained; the last one ended with: {_reason(last)}")

    def _work(self, place: int) -> None:
        """Trial after trial, until there are no more."""
        self._place.number = place
        while (trial := self.oracle.create_trial(f"worker{place}")).status != TrialStatus.STOPPED:
            self._try_run_and_update_trial(trial)
            with self._writing:
                self.on_trial_end(trial)
                self._notes.keep()

    def run_trial(self, trial: Trial, *_: Any, **__: Any) -> dict[str, float]:
        """The best that the metric was in a training with the trial's values."""
        values, started = decoded(trial.hyperparameters.values), time.monotonic()
        with _as_trial_errors():
            outcome = self._run(values, self._place.number)
        took = f"epoch {outcome.best_epoch} of {outcome.epochs}, {time.monotonic() - started:.1f} s"
        logger.info("trial %s: %s %.5f after %s: %s", trial.trial_id, self._metric, outcome.reached, took, values)
        return {self._metric: outcome.reached}

    def record(self) -> dict[str, Any]:
        """All trials in the order in which they began: values, what the metric reached (None where it failed), and why."""
        ordered = [self.oracle.trials[each] for each in self.oracle.start_order]
        return {
            "section": self._section,
            "metric": self._metric,
            "trials": [
                {"values": decoded(trial.hyperparameters.values), "score": trial.score, "failure": _reason(trial)}
                for trial in ordered
            ],
        }


class _Notes:
    """The oracle's folder: at its place, or a copy of what lies in an object store."""

    def __init__(self, place: str) -> None:
        self._store = ObjectStore(place) if is_uri(place) else None
        self.folder = Path(place)
        self._kept: dict[str, float] = {}
        if self._store is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            return
        self._copy = tempfile.TemporaryDirectory()
        self.folder = Path(self._copy.name)
        for file in self._store.files():
            self._store.download(file.name, self.folder / file.name)
        self._kept = self._changes()

    def keep(self) -> None:
        """What has changed since, in the store."""
        if self._store is None:
            return
        found = self._changes()
        for name in sorted(name for name, changed in found.items() if self._kept.get(name) != changed):
            self._store.upload(self.folder / name, name)
        self._kept = found

    def _changes(self) -> dict[str, float]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.stat().st_mtime for path in files}


def space_of(space: Mapping[str, Searched]) -> keras_tuner.HyperParameters:
    """What a config searches for, in keras-tuner's terms; a range is of whole numbers where both its ends are."""
    made = keras_tuner.HyperParameters()
    for key, searched in space.items():
        if searched.choices is not None:
            made.Choice(key, encoded(searched.choices))
        elif isinstance(searched.min, int) and isinstance(searched.max, int):
            made.Int(key, searched.min, searched.max, sampling=searched.scale)
        else:
            made.Float(key, float(searched.min or 0), float(searched.max or 0), sampling=searched.scale)
    return made


def _by_process(order: Mapping[str, Any], place: int) -> Outcome:
    """A trial by another process, which sees one GPU where there are some; what it logs goes where this one's log goes."""
    environment = dict(os.environ)
    if gpus := tf.config.list_physical_devices("GPU"):
        visible = environment.get("CUDA_VISIBLE_DEVICES") or ",".join(str(number) for number in range(len(gpus)))
        environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[place % len(gpus)]
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch) / "order.json", Path(scratch) / "result.json"
        files[0].write_text(json.dumps(order))
        command = [sys.executable, "-m", "components.training.trial", *map(str, files)]
        ended = subprocess.run(command, env=environment, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, errors="replace")
        sys.stderr.write(ended.stderr)
        if ended.returncode < 0:
            raise ImpossibleError(f"its process was killed by signal {-ended.returncode}, which the lack of memory does")
        if ended.returncode or not files[1].exists():
            tail = "\n".join(ended.stderr.splitlines()[-LOG_TAIL_LINES:])
            raise RuntimeError(f"a trial has ended with status {ended.returncode}:\n{tail}")
        said = json.loads(files[1].read_text())
    if "failure" in said:
        raise ImpossibleError(said["failure"])
    return Outcome(**said)


@contextmanager
def _as_trial_errors() -> Iterator[None]:
    """keras-tuner notes that a trial has failed and goes on with the next; what is wrong with all of them ends the search."""
    try:
        yield
    except ImpossibleError as error:
        raise keras_tuner.errors.FailedTrialError(str(error)) from error
    except Exception as error:
        raise keras_tuner.errors.FatalError(str(error)) from error


def _reason(trial: Trial) -> str:
    lines = (trial.message or "").strip().splitlines()
    return lines[-1] if lines else ""
