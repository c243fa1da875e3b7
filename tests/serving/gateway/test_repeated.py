import logging
import threading

import pytest

from components.errors import ServingError
from serving.gateway.repeated import Repeated


def test_whatever_is_raised_the_task_is_done_again_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    errors = [ServingError("away"), ServingError("still away"), KeyError("unforeseen"), KeyError("again")]
    done = threading.Event()

    def task() -> None:
        if errors:
            raise errors.pop(0)
        done.set()

    with caplog.at_level(logging.WARNING):
        repeated = Repeated("followed", task, 0.001)
        assert done.wait(30)
        repeated.close()
    assert [record.getMessage() for record in caplog.records] == [
        "followed: away; tried again every 0.001 s",
        "followed: 'unforeseen'; tried again every 0.001 s",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [False, True]
