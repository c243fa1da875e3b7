"""Where to look for better settings: values to try for keys of ``retrieval`` and ``ranking``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from components.config.settings import Settings

Key = Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)*$")]
TRIALS_FILE = "trials.json"  # of a search's results: what was tried
SECTIONS = ("retrieval", "ranking")
# Keys that are no matter of search, with why.
UNTUNABLE = {
    "calibration": "the metric that trials are judged by does not change with it",
    "calibration_slice": "the metric that trials are judged by does not change with it",
    "candidates": "what is served reads it too",
    "distribute": "it changes where a model is trained, not which",
    "seed": "a lucky one would be found",
    "stop_on": "values of one metric would be held against those of another",
}


class Searched(Settings):
    """A key's values: some to choose from, or a range, of whole numbers where both ends are."""

    choices: tuple[Any, ...] | None = Field(default=None, min_length=2)
    min: int | float | None = None
    max: int | float | None = None
    scale: Literal["linear", "log"] = Field(default="linear", description="of a range: log where its ends lie far apart")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.choices is None) == (self.min is None and self.max is None):
            raise ValueError("wanted either choices, or min and max")
        if self.choices is None:
            if self.min is None or self.max is None or self.min >= self.max:
                raise ValueError(f"found min {self.min} and max {self.max}, wanted both, min below max")
            if self.scale == "log" and self.min <= 0:
                raise ValueError(f"found min {self.min}, wanted one above 0, or scale: linear")
        return self

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values that are among those that will be tried."""
        return self.choices if self.choices is not None else (self.min, self.max)


class TuningConfig(Settings):
    max_trials: int = Field(default=20, ge=1, description="of each model")
    search: Literal["bayesian", "random"] = Field(
        default="bayesian", description="bayesian: at random at first, then where a model of the results so far expects most"
    )
    seed: int = Field(default=17, ge=1)
    parallel: int = Field(
        default=1,
        ge=1,
        le=64,
        description="trials at a time, each by a process of its own with a GPU of its own, if there are any",
    )
    retrieval: dict[Key, Searched] = Field(default={}, description="key of `retrieval` → its values")
    ranking: dict[Key, Searched] = Field(default={}, description="key of `ranking`, such as model.dropout → its values")

    def spaces(self) -> Iterator[tuple[str, dict[str, Searched]]]:
        """The sections that have something to search for, with it."""
        for section in SECTIONS:
            if space := getattr(self, section):
                yield section, space

    @model_validator(mode="after")
    def _has_something_to_search(self) -> Self:
        for section, space in self.spaces():
            for key in space:
                if why := UNTUNABLE.get(key):
                    raise ValueError(f"{section}.{key}: cannot be searched for: {why}")
        if not any(self.spaces()):
            raise ValueError("found nothing to search for, wanted values for keys under retrieval or ranking")
        return self


def decoded(values: Mapping[str, Any]) -> dict[str, Any]:
    """From a tuner's values, which are numbers, or JSON of anything else, to those of the settings."""
    return {key: json.loads(value) if isinstance(value, str) else value for key, value in values.items()}


def encoded(choices: Sequence[Any]) -> list[Any]:
    """The other way round, for choices of one key."""
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in choices)
    if numbers and len({type(each) for each in choices}) == 1:
        return list(choices)
    return [json.dumps(each) for each in choices]


def with_values(document: Mapping[str, Any], section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's document with other values of a section's keys, of which ``model.hidden`` is one below ``model``."""
    changed = dict(document)
    for key in sorted(values, key=lambda key: key.count(".")):  # `model` before what lies below it
        *path, last = (section, *key.split("."))
        below = changed
        for part in path:
            inner = below.get(part, {})
            below[part] = {"name": inner} if isinstance(inner, str) else dict(inner)
            below = below[part]
        below[last] = values[key]
    return changed
