"""What a user's own data is: files, columns, features, tasks."""

import keyword
import re
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from components.config.settings import Settings

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
EventType = Annotated[str, StringConstraints(min_length=1, max_length=256)]  # as the data spells it
MomentUnit = Literal["s", "ms", "us", "ns", "iso8601"]
# What the samples themselves are made of (components.schema.samples); a feature of the same name would take its place.
RESERVED_NAMES = frozenset({"user_id", "item_id", "timestamp_ms", "user_idle_s", "window", "position", "propensity"})
KEYWORDS = frozenset(keyword.kwlist)  # of Python, by which TensorFlow names no input of a model
RESERVED_PREFIXES = ("history_", "context_", "user_count_", "label_", "weight_", "negative_")
THRESHOLD = re.compile(r"^value\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?)$")


def may_name_feature(name: str) -> bool:
    """Whether neither the samples nor TensorFlow keep a feature from having the name."""
    return name not in RESERVED_NAMES | KEYWORDS and not name.startswith(RESERVED_PREFIXES)


class FileFormat(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    JSON_LINES = "jsonl"


class FeatureKind(StrEnum):
    """How a column is read and what the models make of it."""

    ID = "id"  # one of very many values: an embedding each
    CATEGORICAL = "categorical"  # one of few values
    MULTI_VALUED = "multi_valued"  # several values: a list, or a string cut at `separator`
    NUMBER = "number"
    TEXT = "text"  # lower-cased words
    TIMESTAMP = "timestamp"  # becomes days: of a user the age at the request, of an item the moment, since 1970


class TableConfig(Settings):
    """One or more files of one table. A relative path counts from the folder of the config file."""

    path: Path = Field(description="a file, a folder with its partitions (day=2026-01-31/), or a pattern with * in it")
    format: FileFormat = FileFormat.CSV
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str | None = Field(default='"', min_length=1, max_length=1, description="null when fields are never quoted")


class FeatureColumn(Settings):
    column: str = Field(min_length=1)
    kind: FeatureKind
    separator: str | None = Field(default=None, min_length=1, description="cuts a multi_valued string")
    timestamp_unit: MomentUnit = "s"
    values: tuple[str, ...] | None = Field(default=None, description="the only values that are valid")
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _fields_fit_kind(self) -> Self:
        if self.separator is not None and self.kind is not FeatureKind.MULTI_VALUED:
            raise ValueError(f"separator belongs to kind multi_valued, not to {self.kind}")
        if self.values is not None and self.kind not in (FeatureKind.CATEGORICAL, FeatureKind.MULTI_VALUED):
            raise ValueError(f"values belongs to kinds categorical and multi_valued, not to {self.kind}")
        if (self.min is not None or self.max is not None) and self.kind is not FeatureKind.NUMBER:
            raise ValueError(f"min and max belong to kind number, not to {self.kind}")
        return self


class ContextColumn(Settings):
    """A column of the event file that is known when a request arrives, such as the device."""

    column: str = Field(min_length=1)
    kind: Literal[FeatureKind.CATEGORICAL] = FeatureKind.CATEGORICAL
    values: tuple[str, ...] | None = None


class EventColumns(Settings):
    """Which columns of the event file play which part; only the first three must be there."""

    user_id: str
    item_id: str
    timestamp: str
    event_id: str | None = Field(default=None, description="without it, equal rows are one event")
    type: str | None = None
    value: str | None = None
    request_id: str | None = None
    position: str | None = None
    propensity: str | None = Field(default=None, description="probability with which the item was shown")
    received: str | None = Field(default=None, description="when the event arrived; late rows are those far behind it")


class EventsConfig(TableConfig):
    columns: EventColumns
    timestamp_unit: MomentUnit = "s"
    type: Name = Field(default="event", description="the type of every event when no column says it")
    context: dict[Name, ContextColumn] = {}
    first_day: date | None = Field(default=None, description="the first UTC day of events to read; default: all before too")
    last_day: date | None = Field(default=None, description="the last UTC day of events to read; default: all after too")
    late_after_s: int = Field(default=3600, ge=0, description="an event this long under way is counted as late")
    max_reject_share: float = Field(default=0.01, ge=0, le=1, description="a larger share of bad rows stops the run")


class ItemsConfig(TableConfig):
    id: str
    title: str | None = Field(default=None, description="the column shown to people")
    created: str | None = Field(default=None, description="column of the moment since when the item exists")
    created_unit: MomentUnit = "s"
    features: dict[Name, FeatureColumn] = {}


class UsersConfig(TableConfig):
    id: str
    features: dict[Name, FeatureColumn] = {}


class TaskConfig(Settings):
    """One outcome to predict.

    ``{}``: that the event happened at all. ``event: click``: that a click followed the impression.
    ``when: "value >= 4"``: a threshold on the event's value. ``kind: regression``: the value itself.
    """

    event: EventType | None = None
    when: str | None = None
    kind: Literal["binary", "regression"] = "binary"
    after: Name | None = Field(
        default=None,
        description="the binary task without which this one cannot happen, as click for a purchase: both are learnt from "
        "all impressions, and this one's prediction is the probability that both happen (ESMM's CTCVR)",
    )
    weight: float = Field(default=1.0, ge=0, description="of the task's loss")
    score_weight: float = Field(default=1.0, ge=0, description="of the task's logit in the score that lists are ordered by")

    @model_validator(mode="after")
    def _threshold_parses(self) -> Self:
        if self.when is not None and not THRESHOLD.match(self.when):
            raise ValueError(f"found {self.when!r}, wanted a comparison of the value, such as 'value >= 4'")
        if self.kind == "regression" and self.when is not None:
            raise ValueError("a regression task predicts the value itself and takes no `when`")
        return self

    @property
    def threshold(self) -> tuple[str, float] | None:
        match = THRESHOLD.match(self.when or "")
        return (match[1], float(match[2])) if match else None


class SplitConfig(Settings):
    """``time``: the last shares of the events by time. ``leave_last_out``: each user's last two events.

    ``random``: shares of each user's events at random, and each user is judged once, by all that is tested of theirs. The
    order of time is broken on purpose: each item is told from all others that are learnt from, whenever they came. It is
    there for tables of papers that did so, and nothing should be released by it.
    """

    kind: Literal["time", "leave_last_out", "random"] = "time"
    eval: float = Field(default=0.1, gt=0, lt=0.5, description="share of events for validation (time, random)")
    test: float = Field(default=0.1, gt=0, lt=0.5, description="share of events for test (time, random)")


class DatasetConfig(Settings):
    events: EventsConfig
    items: ItemsConfig | None = None
    users: UsersConfig | None = None
    context: tuple[Literal["hour", "weekday"], ...] = ("hour", "weekday")
    tasks: dict[Name, TaskConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        for table, features in (("items", self.item_features), ("users", self.user_features)):
            for name in features:
                if name in KEYWORDS:
                    raise ValueError(
                        f"{table}.features.{name}: is a word of Python, as which TensorFlow takes no input of a model; give "
                        "the feature another name (its column may keep it)"
                    )
                if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES):
                    raise ValueError(
                        f"{table}.features.{name}: this name is taken by the samples' own columns "
                        f"({', '.join([*sorted(RESERVED_NAMES), *(prefix + '*' for prefix in RESERVED_PREFIXES)])}); "
                        "give the feature another one (its column may keep it)"
                    )
        shared = sorted(set(self.item_features) & set(self.user_features))
        if shared:
            raise ValueError(f"{shared} names both an item and a user feature; wanted different names")
        calendar = sorted(set(self.context) & set(self.events.context))
        if calendar:
            raise ValueError(
                f"events.context: {calendar} is also a context that the time of the request gives; wanted another "
                "name, or `context` without it"
            )
        return self

    @model_validator(mode="after")
    def _tasks_follow(self) -> Self:
        for name, task in self.tasks.items():
            chain = [name]
            while (first := self.tasks[chain[-1]].after) is not None:
                if first in chain:
                    raise ValueError(f"tasks.{name}.after: {' after '.join([*chain, first])} is a circle; wanted a first task")
                if first not in self.tasks:
                    others = sorted(set(self.tasks) - set(chain))
                    raise ValueError(f"tasks.{chain[-1]}.after: found {first!r}, wanted another task: {others}")
                chain.append(first)
            if task.after is not None and not task.kind == self.tasks[task.after].kind == "binary":
                raise ValueError(
                    f"tasks.{name}.after: {name} is {task.kind} and {task.after} is {self.tasks[task.after].kind}; "
                    "wanted two binary tasks, whose probabilities are multiplied"
                )
        return self

    @property
    def item_features(self) -> dict[str, FeatureColumn]:
        return self.items.features if self.items else {}

    @property
    def user_features(self) -> dict[str, FeatureColumn]:
        return self.users.features if self.users else {}

    @property
    def request_categories(self) -> set[str]:
        """Names of what has few values and is known of a request before any item."""
        of_users = {name for name, feature in self.user_features.items() if feature.kind is FeatureKind.CATEGORICAL}
        return of_users | {*self.context, *self.events.context}

    def resolved(self, folder: Path) -> Self:
        """The same settings with every path absolute, relative ones counted from ``folder``."""
        changes = {
            name: table.model_copy(update={"path": (folder / table.path).resolve()})
            for name in ("events", "items", "users")
            if (table := getattr(self, name)) is not None
        }
        return self.model_copy(update=changes)
