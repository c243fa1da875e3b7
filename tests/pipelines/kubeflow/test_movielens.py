"""MovieLens 100K through the launcher, compared with a local run: some 15 minutes, so only where FULL=1 asks for it."""

from pathlib import Path

import pytest

from components.config import load_config
from components.push.registry import Registry
from components.storage.object_store import ObjectStore
from pipelines import local_runner
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.settings import KubeflowSettings
from tests.full import full
from tests.pipelines.kubeflow.compare import differences
from tests.pipelines.kubeflow.conftest import read
from tests.pipelines.kubeflow.launcher import SUCCEEDED, Launcher

ROOT = Path(__file__).resolve().parents[3]
CONFIG, DATA = ROOT / "infra" / "config" / "movielens-100k.yaml", ROOT / "var" / "data" / "movielens-100k"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(3600),
    full("a quarter of an hour"),
]


def test_the_release_is_that_of_a_local_run(store_endpoint: str, settings: KubeflowSettings, tmp_path: Path) -> None:
    assert DATA.is_dir(), "wanted the data set: winnow data movielens-100k"
    bucket = settings.pipeline_root.rpartition("/")[0]
    store = ObjectStore(bucket)
    for file in DATA.iterdir():
        store.upload(file, f"var/data/{DATA.name}/{file.name}")
    places = {"registry": f"{bucket}/movielens", "sources": f"{bucket}/infra/config", "webhook": None}
    compiled = compile_pipeline(read(CONFIG), settings.model_copy(update=places))
    launcher = Launcher(compiled, settings.pipeline_root, tmp_path / "pods", "movielens-1")
    assert launcher.run() == SUCCEEDED, {name: each.log[-2000:] for name, each in launcher.results.items()}
    local_runner.run(load_config(CONFIG), tmp_path / "work", None, cache=True, on_event=lambda event: None)
    assert differences(places["registry"], 1, Registry(tmp_path / "work" / "releases")) == {}
