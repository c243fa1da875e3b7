"""Children that end are started again, and no more once the context is left."""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from components.errors import ServingError
from serving.kept_running import kept_running


class Sleeper:
    """A child that sleeps; ``refusals`` of its starts fail."""

    def __init__(self, refusals: int) -> None:
        self.starts, self._refusals = 0, refusals
        self.process = self._started()

    def running(self) -> bool:
        return self.process.poll() is None

    def restart(self) -> None:
        self.starts += 1
        if self.starts <= self._refusals:
            raise ServingError("the child has no bed")
        self.process = self._started()

    @staticmethod
    def _started() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


@pytest.fixture(params=(0, 1))
def sleeper(request: pytest.FixtureRequest) -> Iterator[Sleeper]:
    made = Sleeper(request.param)
    yield made
    made.process.kill()
    made.process.wait()


def test_a_child_that_ends_is_started_until_it_runs(
    sleeper: Sleeper, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    with kept_running("sleeper", sleeper.running, sleeper.restart):
        first = sleeper.process
        first.kill()
        eventually(lambda: sleeper.process is not first and sleeper.running(), "another child")
    assert "the sleeper has ended uninvited, it is started again" in caplog.text
    assert caplog.text.count("the child has no bed") == sleeper.starts - 1


def test_a_look_that_fails_does_not_end_the_watch(sleeper: Sleeper, eventually: Callable[..., None]) -> None:
    looks = iter([OSError(errno.EMFILE, "too many open files")])

    def running() -> bool:
        for error in looks:
            raise error
        return sleeper.running()

    with kept_running("sleeper", running, sleeper.restart):
        first = sleeper.process
        first.kill()
        eventually(lambda: sleeper.process is not first and sleeper.running(), "another child")


def test_nothing_is_started_after_the_context(sleeper: Sleeper) -> None:
    with kept_running("sleeper", sleeper.running, sleeper.restart):
        pass
    sleeper.process.kill()
    sleeper.process.wait()
    assert sleeper.starts == 0
