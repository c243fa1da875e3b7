"""The measures that limits are made of."""

import json

import pytest

from serving.gateway.limits import MAX_CALLERS, RateLimiter, nesting


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        (b"", 0),
        (b"1", 0),
        (b"[]", 1),
        (b"[[], [[]], {}]", 3),
        (b'{"a": [{"b": 1}], "c": {}}', 3),
        (b'"[[[["', 0),
        (rb'["\"[[[", "\\", []]', 2),
        (b'["[[[[', 1),  # a string that is not closed goes to the end
        (b'["\\', 1),
        (b"]]]][", 0),  # no JSON, and left to the parser
        (b"[" * 100_000, 100_000),
        (b'"' + b'\\"' * 500_000, 0),  # a text on which a careless expression would run for hours
        (b'"' * 500_001 + b"[", 0),
    ],
)
def test_nesting(text: bytes, depth: int) -> None:
    assert nesting(text) == depth


def test_nesting_of_what_the_parser_reads() -> None:
    document: dict[str, object] = {"}": ["]", {"\\": "\"'[{", "é": [[1.5, None]]}]}
    assert nesting(json.dumps(document).encode()) == nesting(json.dumps(document, ensure_ascii=False).encode()) == 5


def test_a_caller_has_a_burst_and_then_a_rate() -> None:
    limiter = RateLimiter(per_s=2, burst=3)
    assert [limiter.wait_s("a", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.wait_s("b", 10.0) == 0  # each has their own
    assert limiter.wait_s("a", 10.25) == 0.25  # what was refused took nothing
    assert limiter.wait_s("a", 10.5) == 0
    assert limiter.wait_s("a", 10.5) == 0.5
    assert [limiter.wait_s("a", 1_000.0) for _ in range(4)] == [0, 0, 0, 0.5]  # no more than a burst is saved up


def test_only_so_many_callers_are_remembered() -> None:
    limiter = RateLimiter(per_s=1, burst=1)
    for number in range(MAX_CALLERS):
        assert limiter.wait_s(str(number), 0.0) == 0
    assert limiter.wait_s("0", 0.0) == 1  # remembered, and now the one who was here last
    assert limiter.wait_s("one more", 0.0) == 0
    assert limiter.wait_s("0", 0.0) == 1
    assert limiter.wait_s("1", 0.0) == 0  # forgotten
