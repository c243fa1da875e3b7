"""The search for better settings: trials, each a training like any other, whose settings an oracle of keras-tuner proposes.

The oracle's notes, one small file a trial, lie beside the checkpoints of trainings, so that a search that was killed goes on
after its last trial, within which the training goes on after its last epoch. They are kept, for a search of the same with
more trials goes on from them too.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import keras_tuner
import tensorflow as tf
import tf_keras as keras
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.oracles import BayesianOptimizationOracle, RandomSearchOracle

from components.config import TuningConfig, tuned_config
from components.config.tuning import Searched, decoded, encoded
from components.errors import ConfigError
from components.storage.object_store import ObjectStore, is_uri
from components.training.context import TrainingContext
from components.training.distribution import alone
from components.training.loop import Progress

ORACLES = {"bayesian": BayesianOptimizationOracle, "random": RandomSearchOracle}
Job = Callable[[TrainingContext, tf.distribute.Strategy], Progress]
logger = logging.getLogger("winnow.tuning")


class Tuning(NamedTuple):
    """What TFX's Tuner wants of a ``tuner_fn``: its own TunerFnResult, without importing TFX."""

    tuner: BaseTuner
    fit_kwargs: dict[str, Any]


def tuning_of(job: Job, metric: Callable[[TrainingContext], str], fn_args: Any, node: str, section: str) -> Tuning:
    """The search for settings of a section.

    Args:
      job: trains one model, and does not save it; metric: names the one to be greatest.
    """
    arguments = SimpleNamespace(
        **{name: getattr(fn_args, name) for name in ("train_files", "eval_files", "custom_config")},
        transform_output=fn_args.transform_graph_path,
        hyperparameters=None,
        serving_model_dir="",
        model_run_dir="",
    )
    context = TrainingContext.of(arguments, node, section)
    if context.config.tuning is None:
        raise ConfigError(f"tuning: found none, wanted the values to try for {section}")
    return Tuning(TrialTuner(job, metric(context), context, context.config.tuning, section), {})


class TrialTuner(BaseTuner):
    """Runs the trials that its oracle proposes, one after the other, in this process."""

    def __init__(self, job: Job, metric: str, context: TrainingContext, tuning: TuningConfig, section: str) -> None:
        self._job, self._metric, self._context, self._section = job, metric, context, section
        # Another number of trials is the same search.
        key = context.key(context.config.model_dump_json(exclude={"tuning": {"max_trials"}}))
        self._notes = _Notes(f"{context.checkpoints.rstrip('/')}/{key}")
        oracle = ORACLES[tuning.search](
            objective=keras_tuner.Objective(metric, "max"),
            max_trials=tuning.max_trials,
            hyperparameters=space_of(getattr(tuning, section)),
            seed=tuning.seed,
        )
        super().__init__(oracle, directory=str(self._notes.folder), project_name="search")

    def run_trial(self, trial: Trial, **_: Any) -> dict[str, float]:
        """The best that the metric was in a training with the trial's values."""
        keras.backend.clear_session()
        values = decoded(trial.hyperparameters.values)
        started = time.monotonic()
        with _as_trial_errors(), tempfile.TemporaryDirectory() as scratch:
            config = tuned_config(self._context.config, self._section, values)
            context = replace(self._context, config=config, run_folder=Path(scratch))
            progress = self._job(context, alone(getattr(config, self._section)))
            context.checkpoint.remove()
        best = progress.curves[self._metric][progress.best_epoch]
        logger.info(
            "trial %s: %s %.5f after epoch %d of %d, %.1f s: %s",
            trial.trial_id, self._metric, best, progress.best_epoch + 1, progress.epochs, time.monotonic() - started, values,
        )  # fmt: skip
        return {self._metric: best}

    def on_trial_end(self, trial: Trial) -> None:
        super().on_trial_end(trial)
        self._notes.keep()

    def on_search_end(self) -> None:
        """
        Raises:
          ConfigError: no trial has been trained to its end.
        """
        super().on_search_end()
        if not any(trial["score"] is not None for trial in self.record()["trials"]):
            last = self.oracle.trials[self.oracle.end_order[-1]]
            raise ConfigError(f"tuning: no trial of {self._section} could be trained; the last one ended with: {_reason(last)}")

    def record(self) -> dict[str, Any]:
        """All trials in the order in which they began: values, what the metric reached (None where it failed), and why."""
        trials = [self.oracle.trials[each] for each in self.oracle.start_order]
        return {
            "section": self._section,
            "metric": self._metric,
            "trials": [
                {"values": decoded(trial.hyperparameters.values), "score": trial.score, "failure": _reason(trial)}
                for trial in trials
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


@contextmanager
def _as_trial_errors() -> Iterator[None]:
    """keras-tuner notes that a trial has failed and goes on with the next; what is wrong with all of them ends the search."""
    try:
        yield
    except (ConfigError, tf.errors.ResourceExhaustedError) as error:
        raise keras_tuner.errors.FailedTrialError(str(error)) from error
    except Exception as error:
        raise keras_tuner.errors.FatalError(str(error)) from error


def _reason(trial: Trial) -> str:
    lines = (trial.message or "").strip().splitlines()
    return lines[-1] if lines else ""
