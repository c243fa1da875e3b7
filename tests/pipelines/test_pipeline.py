import pytest

pytestmark = pytest.mark.e2e


def test_runs(shop):
    for name, run in shop.runs.items():
        print(name, run)
    print(shop.folder)
