"""How the suite is shared out between processes, where there are several."""

import pytest

PIPELINE_RUNS = ("shop", "cluster", "ratings")  # fixtures that run the whole pipeline, the slowest things here


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a run of the pipeline stay in one process, and begin first; those of one file do, too."""
    for item in items:
        needed = [name for name in PIPELINE_RUNS if name in getattr(item, "fixturenames", ())]
        item.add_marker(pytest.mark.xdist_group(needed[0] if needed else str(item.path)))
    items.sort(key=lambda item: not set(PIPELINE_RUNS) & set(getattr(item, "fixturenames", ())))
