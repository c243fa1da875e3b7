"""The JSON document of a request body, by RapidJSON's rules and in its words, at any depth of nesting.

Python's own parser, which is fast, does the work. It recurses, though, knows no ``Inf``, and has words of its own for
what is wrong; so what it refuses is parsed once more, by a parser that keeps its stack in a list and says of an error
what TensorFlow Serving says.
"""

import json
import math
import re
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any

from serving.model_server.json_tensors import quoted
from serving.model_server.status import StatusError, invalid_argument

_DECODER = json.JSONDecoder()
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]*)?(?P<exponent>[eE][+-]?[0-9]*)?")
_NOT_FINITE = re.compile(r"(?P<sign>-?)(?:(?P<nan>NaN)|Inf(?:inity)?(?!i))")
_LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
# Integers beyond this become floating point numbers, as RapidJSON makes them.
_MAX_UINT64 = 2**64 - 1
_MIN_INT64 = -(2**63)

_INVALID_VALUE = "Invalid value."
_MISSING_NAME = "Missing a name for object member."
_MISSING_COLON = "Missing a colon after a name of object member."
_MISSING_COMMA_IN_OBJECT = "Missing a comma or } after an object member."
_MISSING_COMMA_IN_ARRAY = "Missing a comma or ] after an array element."
_STRING_ERRORS = {
    "Unterminated string": "Missing a closing quotation mark in string.",
    "Invalid control character": "Invalid encoding in string.",
    r"Invalid \uXXXX escape": r"Incorrect hex digit after \u escape in string.",
    r"Invalid \escape": "Invalid escape character in string.",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body begins with; what follows it is passed over. Raises StatusError INVALID_ARGUMENT."""
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    # Bytes that are not UTF-8 pass through strings unchanged.
    text = body.decode("utf-8", "surrogateescape")
    try:
        document, _ = _DECODER.raw_decode(text, _after_whitespace(text, 0))
    except (ValueError, RecursionError):
        document = _Parser(text).parse()
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {quoted(document)} Is not object")
    return document


def _after_whitespace(text: str, position: int) -> int:
    match = _WHITESPACE.match(text, position)
    return position if match is None else match.end()


class _Parser:
    """Parses one document iteratively."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def parse(self) -> Any:
        """The document. Raises StatusError INVALID_ARGUMENT."""
        if not self._next():
            raise self._error("The document is empty.")
        if self._next() in "}],:":
            raise self._error("The document is empty.")
        root: list[Any] = []
        # For each container that is open: what to do with a value that is complete, and the container itself.
        open_containers: list[tuple[Callable[[Any], None], Any]] = [(root.append, root)]
        while not root:
            value, is_open = self._value()
            if is_open:
                store = value.append if isinstance(value, list) else self._member(value)
                open_containers.append((store, value))
                continue
            self._store(value, open_containers)
        return root[0]

    def _store(self, value: Any, open_containers: list[tuple[Callable[[Any], None], Any]]) -> None:
        """Put a complete value where it belongs, and close the containers that end after it."""
        while True:
            store, container = open_containers[-1]
            store(value)
            if len(open_containers) == 1:
                return
            separator = self._next()
            if separator == ("]" if isinstance(container, list) else "}"):
                self._position += 1
                value = container
                open_containers.pop()
            elif separator == ",":
                self._position += 1
                if isinstance(container, dict):
                    open_containers[-1] = (self._member(container), container)
                return
            else:
                raise self._error(_MISSING_COMMA_IN_ARRAY if isinstance(container, list) else _MISSING_COMMA_IN_OBJECT)

    def _value(self) -> tuple[Any, bool]:
        """The next value, and whether it is a container that has something in it, still to be read."""
        character = self._next()
        if character and character in "[{":
            self._position += 1
            is_list = character == "["
            if self._next() == ("]" if is_list else "}"):
                self._position += 1
                return ([] if is_list else {}), False
            return ([] if is_list else {}), True
        if character == '"':
            return self._string(), False
        if character in _LITERALS:
            return self._literal(*_LITERALS[character]), False
        return self._number(), False

    def _member(self, container: dict[str, Any]) -> Callable[[Any], None]:
        """Read a name and its colon; what stores the value that follows."""
        if self._next() != '"':
            raise self._error(_MISSING_NAME)
        name = self._string()
        if self._next() != ":":
            raise self._error(_MISSING_COLON)
        self._position += 1

        def store(value: Any) -> None:
            container[name] = value

        return store

    def _string(self) -> str:
        try:
            text, self._position = scanstring(self._text, self._position + 1)
        except json.JSONDecodeError as error:
            is_open = error.msg.startswith("Unterminated")
            self._position = len(self._text) if is_open else self._text.rfind("\\", 0, error.pos + 1)
            if error.msg.startswith("Invalid control"):
                self._position = error.pos
            raise self._error(next(ours for theirs, ours in _STRING_ERRORS.items() if error.msg.startswith(theirs))) from None
        return text

    def _literal(self, spelling: str, value: bool | None) -> bool | None:
        for character in spelling:
            if self._text[self._position : self._position + 1] != character:
                raise self._error(_INVALID_VALUE)
            self._position += 1
        return value

    def _number(self) -> float:
        start = self._position
        if match := _NOT_FINITE.match(self._text, start):
            self._position = match.end()
            return math.nan if match["nan"] else float(f"{match['sign']}inf")
        match = _NUMBER.match(self._text, start)
        if match is None:
            self._position += self._text.startswith("-", start)
            raise self._error(_INVALID_VALUE)
        self._position = match.end()
        if match["fraction"] == ".":
            self._position = match.end("fraction")
            raise self._error("Miss fraction part in number.")
        if match["exponent"] and not match["exponent"][-1].isdigit():
            raise self._error("Miss exponent in number.")
        if match["fraction"] is None and match["exponent"] is None and len(match[0]) <= len(str(_MIN_INT64)):
            number = int(match[0])
            return number if _MIN_INT64 <= number <= _MAX_UINT64 else float(number)
        if math.isinf(float(match[0])):
            self._position = start
            raise self._error("Number too big to be stored in double.")
        return float(match[0])

    def _next(self) -> str:
        """The next character that is no whitespace, not taken; empty at the end."""
        self._position = _after_whitespace(self._text, self._position)
        return self._text[self._position : self._position + 1]

    def _error(self, message: str) -> StatusError:
        offset = len(self._text[: self._position].encode("utf-8", "surrogateescape"))
        return invalid_argument(f"JSON Parse error: {message} at offset: {offset}")
