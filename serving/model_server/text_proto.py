"""Files that hold a proto in text form."""

from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from components.errors import ServingError

_MessageT = TypeVar("_MessageT", bound=Message)


def read_text_proto(path: Path, message: _MessageT, what: str, example: str) -> _MessageT:
    """Read a file into an empty ``message``. Raises ServingError with the file, the place in it and an ``example``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(f"the file {path} cannot be read: {error}; wanted {what} in text form, such as {example}") from error
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise ServingError(f"the file {path} is not {what} in text form: {error}; wanted: {example}") from error
