from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from pipelines.kubeflow.settings import KubeflowSettings, amount, load_kubeflow, seconds

ROOT = Path(__file__).resolve().parents[3]
GOOD: dict[str, Any] = {"image": "a/b:1", "pipeline_root": "s3://bucket/root", "sources": "s3://bucket/data"}


def load(folder: Path, **changes: Any) -> KubeflowSettings:
    file = folder / "kubeflow.yaml"
    file.write_text(yaml.safe_dump({**GOOD, **changes}))
    return load_kubeflow(file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": "registry:5000/winnow"}, "image: found 'registry:5000/winnow', wanted a tag or a digest"),
        ({"image": "winnow:latest"}, "image: found 'winnow:latest', wanted a tag that stays what it is"),
        (
            {"pipeline_root": "bucket/root"},
            "pipeline_root: found 'bucket/root', wanted one of s3://, minio://, gs:// with a bucket",
        ),
        ({"pipeline_root": "s3://"}, "pipeline_root: found 's3://', wanted one of"),
        ({"pipeline_root": "http://x/y"}, "pipeline_root: found 'http://x/y', wanted one of"),
        ({"registry": "releases"}, "registry: found 'releases', wanted one of s3://, minio://, gs:// with a bucket"),
        ({"sources": "/"}, "sources: found '/', wanted one of"),
        ({"image": "My Image:1"}, "image: found 'My Image:1', wanted the name of an image"),
        ({"defaults": {"memory": {"request": "\u0663Gi"}}}, "defaults.memory.request: found '\u0663Gi', wanted a quantity"),
        ({"service_account": "a..b"}, "service_account: found 'a..b', string should match"),
        (
            {"defaults": {"node_selector": {"a..b/zone": "x"}}},
            "defaults.node_selector.a..b/zone: found 'a..b/zone', string should match",
        ),
        ({"webhook": {"secret": "hook", "key": "x y"}}, "webhook.key: found 'x y', string should match"),
        (
            {"defaults": {"secrets": [{"name": "s", "env": {"x y": "X"}}]}},
            "defaults.secrets.0.env.x y: found 'x y', string should match",
        ),
        (
            {"defaults": {"volumes": [{"claim": "c", "mount": "/a:b"}]}},
            "defaults.volumes.0.mount: found '/a:b', wanted a path without a colon",
        ),
        ({"nodes": {"ExitHandler": {"retries": {"count": 7}}}}, "nodes: ExitHandler.retries: found some, wanted none"),
        ({"nodes": {"Ingest": {"cache": True}}}, "nodes: Ingest.cache: found true, wanted false"),
        ({"defaults": {"timeout": "0s"}}, "defaults.timeout: found '0s', wanted a duration"),
        ({"nodes": {"Ingest": {"gpu_resource": "gpu"}}}, "nodes.Ingest.gpu_resource: found 'gpu', string should match"),
        ({"defaults": {"node_selector": {"zone": "a b"}}}, "defaults.node_selector.zone: found 'a b', string should match"),
        (
            {"defaults": {"tolerations": [{"key": "gpu", "operator": "Exists", "value": "yes"}]}},
            "defaults.tolerations.0: value: found 'yes', wanted none",
        ),
        ({"defaults": {"tolerations": [{"value": "yes"}]}}, "defaults.tolerations.0: key: found none, wanted one"),
        (
            {"defaults": {"tolerations": [{"key": "gpu", "effect": "NoSchedule", "seconds": 60}]}},
            "defaults.tolerations.0: seconds: found 60 with the effect NoSchedule, wanted NoExecute",
        ),
        (
            {"defaults": {"volumes": [{"claim": "a", "mount": "/data"}], "secrets": [{"name": "s", "mount": "/data"}]}},
            "defaults: volumes and secrets: found /data mounted twice",
        ),
        ({"training": {"workers": [], "shared": "/mnt"}}, "training.workers: found [], tuple should have at least 1 item"),
        ({"training": {"workers": ["w"], "shared": "/mnt"}}, "training.workers.0: found 'w', string should match"),
        ({"beam": {"profile": "dataflow"}}, "beam: profile: found dataflow, which cannot do winnow's Beam work"),
        ({"nodes": {"RankingTrainr": {}}}, "nodes.RankingTrainr: is no node of the pipeline; did you mean RankingTrainer?"),
        ({"nodes": {"Xyz": {}}}, "nodes.Xyz: is no node of the pipeline; wanted one of: Ingest, LastRelease"),
        ({"nodes": {"Ingest": {"gpus": 1}}}, "nodes.Ingest.gpus: unknown key; did you mean gpu?"),
        (
            {"defaults": {"memory": {"limit": "4GB"}}},
            "defaults.memory.limit: found '4GB', wanted a quantity as Kubernetes takes it",
        ),
        ({"defaults": {"cpu": {"request": "-1"}}}, "defaults.cpu.request: found '-1', wanted a quantity"),
        ({"nodes": {"Pusher": {"cpu": {"request": 2, "limit": "500m"}}}}, "nodes.Pusher.cpu: request: found 2, wanted at most"),
        ({"defaults": {"timeout": "90"}}, "defaults.timeout: found '90', wanted a duration such as 30s"),
        ({"defaults": {"retries": {"count": -1}}}, "defaults.retries.count: found -1, input should be greater"),
        ({"defaults": {"secrets": [{"name": "s"}]}}, "defaults.secrets.0: secret 's': wanted either env or mount"),
        (
            {"defaults": {"volumes": [{"claim": "c", "mount": "data"}]}},
            "defaults.volumes.0.mount: found 'data', wanted an absolute",
        ),
        ({"parameters": {"span": "January"}}, "parameters.span: found 'January', wanted FIRST..LAST"),
        ({"object_store": {"endpoint": "minio:9000"}}, "object_store.endpoint: found 'minio:9000', wanted http://host:port"),
        ({"webhok": {}}, "webhok: unknown key; did you mean webhook?"),
    ],
)
def test_what_the_cluster_would_refuse_is_refused_with_the_keys_path(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, **changes)
    assert f"  {said}" in str(raised.value)


def test_secrets_do_not_belong_into_the_file_itself(tmp_path: Path) -> None:
    """There is no key for one: only for the name of a secret of the cluster."""
    with pytest.raises(ConfigError, match=r"webhook\.url: unknown key"):
        load(tmp_path, webhook={"secret": "hook", "url": "https://hooks.example.com/token"})


def test_a_nodes_own_keys_replace_those_of_the_defaults(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        defaults={"cpu": {"request": 1, "limit": 2}, "retries": {"count": 3}},
        nodes={"Pusher": {"cpu": {"limit": "500m"}}},
    )
    assert settings.node("Ingest").cpu.request == "1"
    assert (settings.node("Pusher").cpu.request, settings.node("Pusher").cpu.limit) == (None, "500m")
    assert settings.node("Pusher").retries.count == 3


def test_releases_lie_below_the_root_unless_they_have_a_place(tmp_path: Path) -> None:
    assert load(tmp_path).releases == "s3://bucket/root/releases"
    assert load(tmp_path, registry="gs://other/releases/").releases == "gs://other/releases"
    assert load(tmp_path, registry="/var/winnow/releases").releases == "/var/winnow/releases"


def test_checkpoints_lie_below_the_root_unless_they_have_a_place(tmp_path: Path) -> None:
    assert load(tmp_path).checkpoints_place == "s3://bucket/root/checkpoints"
    assert load(tmp_path, checkpoints="/var/winnow/checkpoints").checkpoints_place == "/var/winnow/checkpoints"


@pytest.mark.parametrize(("text", "value"), [("2", 2), ("500m", 0.5), ("1.5Gi", 1.5 * 2**30), ("2e3", 2000), ("4k", 4000)])
def test_quantities(text: str, value: float) -> None:
    assert amount(text) == value


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86_400)])
def test_durations(text: str, value: int) -> None:
    assert seconds(text) == value


def test_the_example_is_good() -> None:
    assert load_kubeflow(ROOT / "infra" / "config" / "kubeflow.yaml").node("RetrievalTrainer").gpu == 1
