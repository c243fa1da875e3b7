"""Errors that others have wrapped are told as what they were."""

import pytest

from components.errors import ConfigError, DataError, causes, raised_as_ours, raised_in_worker


def test_an_error_from_a_worker_is_ours_again() -> None:
    ours = raised_in_worker(ConfigError("f.yaml: wrong [while running 'Read/ParDo(X)']"))
    assert isinstance(ours, ConfigError)
    assert str(ours) == "f.yaml: wrong"
    text = "Traceback:\ncomponents.errors.DataError: e.csv: odd\n  second line [while running 'Read']\n"
    told = raised_in_worker(RuntimeError(text))
    assert isinstance(told, DataError)
    assert str(told) == "e.csv: odd\n  second line"
    assert raised_in_worker(RuntimeError("no memory")) is None


def test_around_a_pipeline_ours_comes_out_and_all_else_is_left_alone() -> None:
    with pytest.raises(DataError, match=r"^e\.csv: odd$"), raised_as_ours():
        raise RuntimeError("components.errors.DataError: e.csv: odd [while running 'Read']")
    other = RuntimeError("no memory")
    with pytest.raises(RuntimeError) as raised, raised_as_ours():
        raise other
    assert raised.value is other
    assert other.__cause__ is None  # an error that is its own cause makes whoever follows the chain run in a circle


def test_causes_of_an_error_are_told_once_even_in_a_circle() -> None:
    first, second = RuntimeError("first"), OSError("second")
    first.__cause__, second.__context__ = second, first
    assert list(causes(first)) == [first, second]
