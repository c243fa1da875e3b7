import logging

import pytest

from components.errors import ArtifactError, ConfigError, ServingError
from serving.gateway.release_watch import ReleaseWatch


class Served:
    """What the gateway is for the watch: version 1 is served, version 2 is current, and raises these errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.version, self.current, self.tries = 1, 2, 0
        self._errors = list(errors)

    def take_up(self, version: int) -> None:
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)
        self.version = version

    def watch(self, retry_s: float, refused_s: float = 3_600.0) -> ReleaseWatch:
        return ReleaseWatch(lambda: self.current, lambda: self.version, self.take_up, retry_s, refused_s)


@pytest.mark.parametrize("error", [ServingError("the model server is away"), RuntimeError("something")])
def test_what_may_pass_is_tried_again_and_said_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    served = Served(error, error, error)
    watch = served.watch(retry_s=0.0)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            watch.look()
    assert (served.version, served.tries) == (2, 4)
    assert [record.getMessage() for record in caplog.records] == [
        f"release 2 cannot be taken up yet, 1 stays, tried again every 0 s: {error}",
        "release 2 is served",
    ]


def test_there_is_a_pause_before_the_next_try_but_not_for_another_release() -> None:
    served = Served(ServingError("the model server is away"))
    watch = served.watch(retry_s=3_600.0)
    watch.look()
    watch.look()
    assert (served.version, served.tries) == (1, 1)
    served.current = 3
    watch.look()
    assert served.version == 3


def test_what_does_not_fit_the_settings_is_not_tried_again_till_another_was_current(caplog: pytest.LogCaptureFixture) -> None:
    served = Served(ConfigError("does not fit"))
    watch = served.watch(retry_s=0.0, refused_s=0.0)
    for _ in range(3):
        watch.look()
    assert (served.version, served.tries) == (1, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "release 2 is refused, 1 stays, not tried again: does not fit"
    ]
    for current in (1, 2):
        served.current = current
        watch.look()
    assert (served.version, served.tries) == (2, 2)


def test_what_is_damaged_is_tried_again_more_slowly_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    error = ArtifactError("damaged")
    served = Served(error, error)
    watch = served.watch(retry_s=0.0, refused_s=3_600.0)
    watch.look()
    watch.look()
    assert (served.version, served.tries) == (1, 1)
    served = Served(error, error)
    watch = served.watch(retry_s=3_600.0, refused_s=0.0)
    caplog.clear()
    for _ in range(3):
        watch.look()
    assert (served.version, served.tries) == (2, 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"release 2 is refused, 1 stays, tried again every 0 s: {error}"
    ]


@pytest.mark.parametrize("error", [ArtifactError("damaged"), ServingError("the model server is away")])
def test_a_roll_back_in_between_ends_the_pause(error: Exception) -> None:
    served = Served(error)
    watch = served.watch(retry_s=3_600.0, refused_s=3_600.0)
    for current in (2, 2, 1, 2):
        served.current = current
        watch.look()
    assert (served.version, served.tries) == (2, 2)
