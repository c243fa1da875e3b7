import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.config import TuningConfig, parse_config
from components.errors import ConfigError, DataError
from components.training.context import TrainingContext
from components.training.loop import Progress
from components.training.trial import ImpossibleError, Outcome, run
from components.training.tuning import TrialTuner, space_of

SPACE = {
    "learning_rate": {"min": 0.001, "max": 0.1, "scale": "log"},
    "batch_size": {"min": 8, "max": 64},
    "model.hidden": {"choices": [[8], [16, 8]]},
}


class KilledError(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def context_in(folder: Path, tuning: dict[str, Any]) -> TrainingContext:
    """What a search needs of one: settings, and where its notes go; ``transform`` and the files are never looked at."""
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    config = {
        "name": "shop",
        "dataset": {"events": {"path": "x.csv", "columns": columns}, "tasks": {"see": {}}},
        "tuning": tuning,
    }
    nothing: Any = None
    return TrainingContext(
        config=parse_config(json.dumps(config), origin="test"), transform=nothing, train_files=(), eval_files=(), inputs={},
        model_folder=folder, run_folder=folder, node="RankingTuner", checkpoints=str(folder / "checkpoints"),
        inputs_digest=lambda: "the same",
    )  # fmt: skip


@dataclass
class Trainings:
    """Stands for training: the metric grows with the learning rate. It can be killed, or fail."""

    killed_at: int | None = None
    errors: dict[int, Exception] = field(default_factory=dict)
    values: list[dict[str, Any]] = field(default_factory=list)
    places: set[int] = field(default_factory=set)

    def __call__(self, values: Mapping[str, Any], place: int) -> Outcome:
        number = len(self.values)
        if number == self.killed_at:
            raise KilledError
        self.values.append(dict(values))
        self.places.add(place)
        if number in self.errors:
            raise self.errors[number]
        return Outcome(values["learning_rate"], 2, 3)


def search(job: Trainings, folder: Path, **tuning: Any) -> TrialTuner:
    context = context_in(folder, {"seed": 3, "max_trials": 6, "ranking": SPACE, **tuning})
    assert context.config.tuning is not None
    tuner = TrialTuner(job, "recall", context, context.config.tuning, "ranking")
    tuner.search()
    return tuner


@pytest.mark.parametrize("kind", ["random", "bayesian"])
def test_the_best_trial_is_the_one_that_reached_most(kind: str, tmp_path: Path) -> None:
    job = Trainings()
    tuner = search(job, tmp_path, search=kind, max_trials=12)
    assert len(job.values) == 12
    for values in job.values:
        assert 0.001 <= values["learning_rate"] <= 0.1
        assert 8 <= values["batch_size"] <= 64
        assert values["model.hidden"] in ([8], [16, 8])
    record = tuner.record()
    assert (record["section"], record["metric"]) == ("ranking", "recall")
    assert [trial["score"] for trial in record["trials"]] == [values["learning_rate"] for values in job.values]
    [best] = tuner.get_best_hyperparameters()
    assert best.values["learning_rate"] == max(values["learning_rate"] for values in job.values)


def test_a_killed_search_goes_on_with_the_trial_that_it_was_in(tmp_path: Path) -> None:
    whole, first, second = Trainings(), Trainings(killed_at=3), Trainings()
    expected = search(whole, tmp_path / "whole", search="random").record()
    with pytest.raises(KilledError):
        search(first, tmp_path / "killed", search="random")
    assert search(second, tmp_path / "killed", search="random").record() == expected
    assert first.values + second.values == whole.values
    assert len(second.values) == 3


def test_trials_run_side_by_side(tmp_path: Path) -> None:
    one, two = Trainings(), Trainings()
    expected = search(one, tmp_path / "one", search="random")
    found = search(two, tmp_path / "two", search="random", parallel=3)
    assert sorted(map(str, two.values)) == sorted(map(str, one.values))
    assert two.places <= {0, 1, 2}
    assert found.get_best_hyperparameters()[0].values == expected.get_best_hyperparameters()[0].values
    more = Trainings()
    search(more, tmp_path / "two", search="random", parallel=1)
    assert more.values == [], "as many at a time as there are is no part of what is searched for"


def test_more_trials_go_on_from_those_that_there_are(tmp_path: Path) -> None:
    search(Trainings(), tmp_path, max_trials=4)
    more = Trainings()
    assert len(search(more, tmp_path, max_trials=6).record()["trials"]) == 6
    assert len(more.values) == 2


def test_another_space_is_another_search(tmp_path: Path) -> None:
    search(Trainings(), tmp_path, max_trials=2)
    other = Trainings()
    search(other, tmp_path, max_trials=2, ranking={**SPACE, "batch_size": {"min": 9, "max": 64}})
    assert len(other.values) == 2


def test_a_trial_whose_settings_are_impossible_fails_alone(tmp_path: Path) -> None:
    job = Trainings(errors={1: ImpossibleError("heads: found 3, wanted a divisor")})
    trials = search(job, tmp_path).record()["trials"]
    assert [trial["score"] is None for trial in trials] == [False, True, False, False, False, False]
    assert trials[1]["failure"] == "heads: found 3, wanted a divisor"


def test_where_all_fail_the_reason_is_told(tmp_path: Path) -> None:
    job = Trainings(errors={number: ImpossibleError("heads: found 3, wanted a divisor") for number in range(2)})
    with pytest.raises(ConfigError, match=r"no trial of ranking could be trained; .*heads: found 3, wanted a divisor"):
        search(job, tmp_path, max_trials=2)


def test_what_is_wrong_with_the_data_ends_the_search(tmp_path: Path) -> None:
    job = Trainings(errors={1: DataError("the validation split holds no positive")})
    with pytest.raises(DataError, match="holds no positive"):
        search(job, tmp_path)
    assert len(job.values) == 2
    with pytest.raises(DataError, match="holds no positive"):
        search(Trainings(errors={1: DataError("the validation split holds no positive")}), tmp_path / "two", parallel=3)


def test_ranges_and_choices_in_keras_tuners_terms() -> None:
    space = space_of(TuningConfig.model_validate({"ranking": {**SPACE, "batch_size": {"choices": [8, 16]}}}).ranking)
    kinds = {each.name: type(each).__name__ for each in space.space}
    assert kinds == {"learning_rate": "Float", "batch_size": "Choice", "model.hidden": "Choice"}
    assert space.space[0].sampling == "log"
    assert list(space.space[1].values) == [8, 16]
    [number] = space_of(TuningConfig.model_validate({"ranking": {"batch_size": {"min": 8, "max": 16}}}).ranking).space
    assert (type(number).__name__, number.min_value, number.max_value) == ("Int", 8, 16)


def test_a_training_that_leads_to_no_number_is_no_best_trial(tmp_path: Path) -> None:
    context = context_in(tmp_path, {"ranking": SPACE})

    def diverging(*_: Any) -> Progress:
        raise ConfigError("auc came to no number after any of 2 epochs")

    with pytest.raises(ImpossibleError, match="auc came to no number after any of 2 epochs"):
        run(diverging, context, "ranking", {"learning_rate": 0.05})
