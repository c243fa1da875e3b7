"""How the suite is shared out between processes."""

from pathlib import PurePath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

PIPELINES = PurePath("tests/pipelines")


class OneFileTogether(LoadScopeScheduling):
    """The tests of a file stay in one process, and those of the folder whose files share runs of the whole pipeline."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePath(nodeid.partition("::")[0])
        return str(PIPELINES if file.parent == PIPELINES else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneFileTogether:
    return OneFileTogether(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest begin first."""
    items.sort(key=lambda item: PIPELINES not in PurePath(item.nodeid.partition("::")[0]).parents)
