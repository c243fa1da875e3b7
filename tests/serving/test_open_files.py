"""A process may have as many files and sockets open as it is let, and its children start whatever their numbers."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from components.errors import ServingError
from serving.child_process import ChildProcess
from serving.open_files import allow_all

MANY = 1_100  # select, which other ways of waiting have taken the place of, ends at 1,024


@pytest.fixture
def few() -> Iterator[None]:
    """As a process usually begins."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1_024, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few")
def test_all_that_are_allowed_can_be_opened(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_all()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    if most < 2 * MANY:
        pytest.skip(f"no more than {most} files may be open here")
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(Path(os.devnull).open())
        child = ChildProcess("child", "no.such.module", [], tmp_path / "log", startup_timeout_s=60, grace_s=1)
        with pytest.raises(ServingError, match="the child ended with status 1 before it was ready"):
            child.start()
