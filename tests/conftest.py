"""How the suite is shared out between processes."""

from pathlib import PurePath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = "with_"  # begins the names of folders whose files share runs of the whole pipeline


def scope(nodeid: str) -> str:
    """The tests of a file stay in one process, and those of all folders of one such name."""
    file = PurePath(nodeid.partition("::")[0])
    return file.parent.name if file.parent.name.startswith(TOGETHER) else str(file)


class OneScopeTogether(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneScopeTogether:
    return OneScopeTogether(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest begin first."""
    items.sort(key=lambda item: not scope(item.nodeid).startswith(TOGETHER))
