"""Every error that winnow raises on purpose.

WinnowError
├── ConfigError        a setting is wrong: names the file, the key, what was found, what was wanted
├── DataError          the user's data is wrong: names the file, the column or row, what was found and wanted
│   └── AnomalyError   the statistics of the samples break the schema at or above the configured severity
├── ArtifactError      a file that winnow wrote is missing, damaged or of another version
├── GateError          a model or an index is not good enough to go on
└── ServingError       a server cannot be started or reached, or refused a request

Each is shown to the user as its message alone, without a trace, and ends the command with ``exit_code``.
"""

import re

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
