"""Which outcomes the events of a file let one predict."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest import guess_words as known
from components.ingest.guess_columns import Column
from components.ingest.guess_yaml import config_name, scalar

MOST_RATINGS = 20


@dataclass(frozen=True)
class Task:
    """A line of ``dataset.tasks``; one that is only ``possible`` becomes a comment."""

    name: str
    settings: str
    why: str
    possible: bool = False


@dataclass(frozen=True)
class TaskGuess:
    """The tasks, and the settings of the samples that go with them (None: the default).

    Attributes:
      why: the reason for the settings of the samples.
    """

    tasks: list[Task]
    impressions: str | None = None
    history_types: list[str] | None = None
    why: str = ""


def guess_tasks(parts: dict[str, Column]) -> TaskGuess:
    """With logged impressions, a task for each outcome; with ratings, whether they are good; else, that it happened."""
    types = _type_counts(parts.get("type"))
    shown = next((name for name in types if _plain(name) in known.IMPRESSION_TYPES), None)
    outcomes = [name for name in types if name != shown and _plain(name) not in known.UNWANTED_TYPES]
    of_types = [
        Task(config_name(name), f"{{event: {scalar(name)}}}", f"{types[name]} of {types.total()} in the sample")
        for name in outcomes
    ]
    if shown is not None and outcomes and "request_id" in parts:
        why = f"what was shown; what came of it is found by {parts['request_id'].name!r}"
        return TaskGuess(of_types, impressions=shown, why=why)
    tasks = []
    rating = _rating(parts.get("value"))
    if rating is None or not rating.binary:
        tasks.append(Task("interact", "{}", "that the event happened at all"))
    if rating is not None:
        good, why = f'when: "value >= {rating.bound:g}"', rating.why
        if tasks:
            good += ", score_weight: 0.0"
            why += "; predicted, but with a score_weight lists are in the order of both tasks"
        tasks.append(Task("like", f"{{{good}}}", why))
    elif "value" in parts:
        tasks.append(Task("value", "{kind: regression}", "the value itself", possible=True))
    if len(outcomes) > 1:
        tasks += [Task(each.name, each.settings, each.why, possible=True) for each in of_types]
    if outcomes and len(outcomes) < len(types):
        others = ", ".join(repr(name) for name in types if name not in outcomes)
        return TaskGuess(tasks, history_types=outcomes, why=f"each event of these is a positive; {others} would be none")
    return TaskGuess(tasks)


@dataclass(frozen=True)
class _Rating:
    bound: float
    binary: bool
    why: str


def _rating(column: Column | None) -> _Rating | None:
    """From which value on a value of few levels is a good one; None where the value is no judgement."""
    if column is None or column.numbers is None or column.has(known.MEASURE):
        return None
    levels, counts = np.unique(column.numbers, return_counts=True)
    if not 2 <= len(levels) <= MOST_RATINGS:
        return None
    wanted = levels[0] + 0.75 * (levels[-1] - levels[0])
    descending = levels[:0:-1]  # of two that are equally near, the higher
    bound = float(descending[np.argmin(np.abs(descending - wanted))])
    share = counts[levels >= bound].sum() / counts.sum()
    why = f"true of {share:.0%}; {column.name!r} goes from {levels[0]:g} to {levels[-1]:g} in {len(levels)} levels"
    return _Rating(bound, len(levels) == 2, why)


def _type_counts(column: Column | None) -> Counter[str]:
    """How often each type of event occurs, the most frequent first."""
    if column is None:
        return Counter()
    found = pc.value_counts(column.present.cast(pa.string())).to_pylist()
    return Counter({each["values"]: each["counts"] for each in sorted(found, key=lambda each: -each["counts"])})


def _plain(text: str) -> str:
    return re.sub(r"[^a-z]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()).strip("_")
