"""Every error that winnow raises on purpose.

WinnowError
├── ConfigError        a setting is wrong: names the file, the key, what was found, what was wanted
├── DataError          the user's data is wrong: names the file, the column or row, what was found and wanted
│   └── AnomalyError   the statistics of the samples break the schema at or above the configured severity
├── ArtifactError      a file that winnow wrote is missing, damaged or of another version
├── GateError          a model or an index is not good enough to go on
├── ServingError       a server cannot be started or reached, or refused a request
├── ClusterError       Kubeflow Pipelines cannot be reached, is no or too old a one, or refused a request
└── RunFailedError     a run on the cluster was followed, and failed or was cancelled

Each is shown to the user as its message alone, without a trace, and ends the command with ``exit_code``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_STEP = re.compile(r" \[while running '[^']*'\]$")  # what Beam adds to a message
_OURS = re.compile(r"components\.errors\.(\w+): (.*?)(?= \[while running|\n\n|$)", re.DOTALL)


class WinnowError(Exception):
    """The message says what was found, what was wanted, and what to do."""

    exit_code = 1


class ConfigError(WinnowError):
    exit_code = 2


class DataError(WinnowError):
    exit_code = 3


class AnomalyError(DataError):
    pass


class ArtifactError(WinnowError):
    exit_code = 4


class GateError(WinnowError):
    exit_code = 5


class ServingError(WinnowError):
    exit_code = 6


class ClusterError(WinnowError):
    exit_code = 7


class RunFailedError(WinnowError):
    exit_code = 8


def raised_in_worker(error: BaseException) -> WinnowError | None:
    """The error of ours that a Beam runner has added to, or turned into the text of one of its own; else None."""
    if isinstance(error, WinnowError):
        return type(error)(_STEP.sub("", str(error)))
    found = _OURS.findall(str(error))
    if not found:
        return None
    name, message = found[-1]
    kind = globals().get(name, WinnowError)
    return kind(message.strip())


@contextmanager
def raised_as_ours() -> Iterator[None]:
    """Around a Beam pipeline: what a worker raised of ours comes out as it was raised, all else as Beam gives it."""
    try:
        yield
    except Exception as error:
        ours = raised_in_worker(error)
        if ours is None:
            raise
        raise ours from error


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on, each once: a chain that others have made may run in a circle."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        yield each
        seen.add(id(each))
        each = each.__cause__ or each.__context__
