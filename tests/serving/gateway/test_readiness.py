"""One caller finds out for all."""

import threading

from serving.gateway.readiness import Readiness


def test_callers_do_not_wait_for_the_one_who_finds_out() -> None:
    asked, go_on, found = threading.Event(), threading.Event(), []

    def ask() -> bool:
        asked.set()
        assert go_on.wait(10)
        return True

    ready = Readiness(ask)
    first = threading.Thread(target=lambda: found.append(ready()))
    first.start()
    assert asked.wait(10)
    assert ready() is False  # nothing is known yet
    go_on.set()
    first.join(10)
    assert found == [True]
    assert ready() is True
