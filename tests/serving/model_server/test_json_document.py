"""What is said of a body that is no JSON, and what passes for JSON: RapidJSON's rules, worked out by hand."""

import math

import pytest

from serving.model_server.json_document import parse_object
from serving.model_server.status import StatusError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "The document is empty"),
        ("  \n", "The document is empty. at offset: 3"),
        ("}", "The document is empty. at offset: 0"),
        ("nothing", "Invalid value. at offset: 1"),
        ('{"a": tru}', "Invalid value. at offset: 9"),
        ('{"a": -}', "Invalid value. at offset: 7"),
        ('{"a": [1,]}', "Invalid value. at offset: 9"),
        ('{"a":', "Invalid value. at offset: 5"),
        ("{", "Missing a name for object member. at offset: 1"),
        ("{1: 2}", "Missing a name for object member. at offset: 1"),
        ('{"a": 1,}', "Missing a name for object member. at offset: 8"),
        ('{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        ('{"a": 1 "b"}', "Missing a comma or } after an object member. at offset: 8"),
        ('{"a": 01}', "Missing a comma or } after an object member. at offset: 7"),
        ('{"a": 1]', "Missing a comma or } after an object member. at offset: 7"),
        ('{"a": [1 2]}', "Missing a comma or ] after an array element. at offset: 9"),
        ('{"a": [[1}', "Missing a comma or ] after an array element. at offset: 9"),
        ('{"a": "b', "Missing a closing quotation mark in string. at offset: 8"),
        ('{"a": "b\n"}', "Invalid encoding in string. at offset: 8"),
        (r'{"a": "b\x"}', "Invalid escape character in string. at offset: 8"),
        (r'{"a": "\u12g4"}', r"Incorrect hex digit after \u escape in string. at offset: 7"),
        ('{"a": 1.}', "Miss fraction part in number. at offset: 8"),
        ('{"a": 1e+}', "Miss exponent in number. at offset: 9"),
        ('{"Ünïcode": 1 1}', "Missing a comma or } after an object member. at offset: 16"),
    ],
)
def test_errors(body: str, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse_object(body.encode())
    assert caught.value.message == f"JSON Parse error: {message}"


def test_what_is_no_object() -> None:
    with pytest.raises(StatusError) as caught:
        parse_object(b"[1, []]")
    assert caught.value.message == "JSON Value: [\n    1,\n    []\n] Is not object"


def test_short_spellings_of_infinity() -> None:
    # "Inf" is beyond the fast parser, so all of this is the work of the other.
    found = parse_object(
        b'\t{"a": [Inf, -Inf, -Infinity, NaN], "b": {"c": [], "d": {}, "e": [[]]}, "f": null,'
        b' "g": [true, false, -0.5e1, 18446744073709551615, 18446744073709551616, "\\u00e9\\n"], "": {"h": 1}}'
    )
    first, second, third, fourth = found.pop("a")
    assert [first, second, third] == [math.inf, -math.inf, -math.inf]
    assert math.isnan(fourth)
    assert found == {
        "b": {"c": [], "d": {}, "e": [[]]},
        "f": None,
        "g": [True, False, -5.0, 2**64 - 1, float(2**64), "é\n"],
        "": {"h": 1},
    }
    assert isinstance(found["g"][4], float)


def test_what_follows_is_passed_over() -> None:
    assert parse_object(b'{"a": Inf} and more') == {"a": math.inf}
    assert parse_object(b' {"a": 1} and more') == {"a": 1}


def test_any_depth() -> None:
    depth = 200_000
    value = parse_object(b'{"a": ' + b"[" * depth + b"7" + b"]" * depth + b"}")["a"]
    for _ in range(depth):
        [value] = value
    assert value == 7
