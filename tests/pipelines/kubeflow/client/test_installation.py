"""A version, an experiment, a run, a schedule: what is made once, what is used again, and what is refused."""

from collections.abc import Iterator

import pytest

from components.errors import ClusterError, ConfigError
from pipelines.kubeflow.client.connection import Access
from pipelines.kubeflow.client.cron import Cron
from pipelines.kubeflow.client.installation import KubeflowPipelines, Launch, Version
from pipelines.kubeflow.client.package import Package
from tests.pipelines.kubeflow.client.kfp_api import KubeflowPipelinesApi, Switches

LAUNCH = Launch("first", "shop", {})
NIGHTLY = Launch("nightly", "shop", {"span": 3}, root="s3://bucket/shop")
AT_3, AT_4 = Cron.parse("0 3 * * *"), Cron.parse("0 4 * * *")


@pytest.fixture
def version(cluster: KubeflowPipelines, package: Package) -> Version:
    return cluster.upload(package)


@pytest.fixture
def shared() -> Iterator[KubeflowPipelinesApi]:
    """An installation that serves many users."""
    with KubeflowPipelinesApi(Switches(multi_user=True)) as running:
        yield running


def test_a_pipeline_is_made_once_and_the_same_content_uploaded_once(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package, version: Version
) -> None:
    assert version.uploaded
    again = cluster.upload(package)
    assert (again.version_id, again.uploaded) == (version.version_id, False)
    assert [each.display_name for each in api.pipelines.values()] == ["shop"]
    assert [each.display_name for each in api.versions.values()] == [package.version]


def test_other_content_is_another_version_of_the_same_pipeline(
    cluster: KubeflowPipelines, package: Package, version: Version, tmp_path
) -> None:
    changed = tmp_path / "pipeline.yaml"
    changed.write_bytes(package.path.read_bytes() + b"# changed\n")
    other = cluster.upload(Package.read(changed))
    assert other.pipeline_id == version.pipeline_id
    assert other.version_id != version.version_id
    assert other.uploaded


def test_what_somebody_else_made_this_moment_is_used(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package, version: Version
) -> None:
    """The search comes too early to see it, the making is refused, and the second search finds it."""
    unseen = (200, "{}")
    api.switches.refuse = {"pipeline_service_list_pipelines": [unseen], "pipeline_service_list_pipeline_versions": [unseen]}
    again = cluster.upload(package)
    assert (again.version_id, again.uploaded) == (version.version_id, False)
    assert api.operations.count("pipeline_service_create_pipeline") == 2
    assert [call.status for call in api.calls if call.operation == "upload_pipeline_version"] == [200, 409]


def test_a_name_that_is_taken_is_told(cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package) -> None:
    api.switches.refuse = {"pipeline_service_create_pipeline": [(409, "The name shop already exist.")]}
    with pytest.raises(ClusterError, match="the name 'shop' is taken by a pipeline that you may not see; change `name`"):
        cluster.upload(package)


def test_a_pipeline_that_is_rejected_is_told_in_the_servers_words(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package, tmp_path
) -> None:
    wrong = tmp_path / "pipeline.yaml"
    wrong.write_text(package.path.read_text().replace("executorLabel:", "executorLabl:", 1))
    with pytest.raises(ClusterError) as raised:
        cluster.upload(Package.read(wrong))
    message = str(raised.value)
    assert f"{api.url}: rejected while uploading version sha256-" in message
    assert "(400): Failed to create a pipeline version: Failed to parse" in message
    assert 'no field named "executorLabl"' in message


@pytest.mark.parametrize(
    ("operation", "status", "doing"),
    [
        ("pipeline_service_list_pipelines", 403, "looking for pipeline 'shop'"),
        ("pipeline_service_create_pipeline", 403, "creating pipeline 'shop'"),
        ("upload_pipeline_version", 400, "uploading version sha256-"),  # the real server's status of a forbidden upload
        ("experiment_service_create_experiment", 403, "creating experiment 'shop'"),
        ("run_service_create_run", 403, "starting run 'first' of pipeline 'shop'"),
    ],
)
def test_what_is_not_permitted_says_what_it_was(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package, operation: str, status: int, doing: str
) -> None:
    said = "Failed to authorize: User 'ann' is not authorized with reason: (namespace team-a)"
    api.switches.refuse = {operation: [(status, said)]}
    with pytest.raises(ClusterError) as raised:
        cluster.start(cluster.upload(package), LAUNCH)
    assert f"{api.url}: permission refused while {doing}" in str(raised.value)
    assert f"({status}: {said})" in str(raised.value)


def test_a_run_is_of_the_version_with_its_parameters_and_root(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, version: Version
) -> None:
    launch = Launch("first", "trials", {"span": 3}, root="s3://bucket/shop", service_account="trainer")
    run = api.runs[cluster.start(version, launch)]
    assert run.pipeline_version_reference.pipeline_version_id == version.version_id
    assert run.runtime_config.parameters == {"span": 3}
    assert run.runtime_config.pipeline_root == "s3://bucket/shop"
    assert run.service_account == "trainer"
    assert api.experiments[run.experiment_id].display_name == "trials"
    other = api.runs[cluster.start(version, LAUNCH)]
    assert other.runtime_config.pipeline_root is None
    assert api.runs[cluster.start(version, LAUNCH)].experiment_id == other.experiment_id


def test_many_users_keep_to_their_namespaces(shared: KubeflowPipelinesApi, package: Package) -> None:
    ann, bob = (KubeflowPipelines(Access(shared.url, namespace=name)) for name in ("ann", "bob"))
    mine, other = ann.upload(package), bob.upload(package)
    assert mine.pipeline_id != other.pipeline_id
    ann.start(mine, LAUNCH)
    ann.schedule(mine, NIGHTLY, AT_3, replace=False)
    assert [len(each.runs(5, None)) for each in (ann, bob)] == [1, 0]
    assert [len(each.schedules(None)) for each in (ann, bob)] == [1, 0]
    assert {each.namespace for each in shared.experiments.values()} == {"ann"}


def test_a_schedule_pins_the_version_and_waits_for_the_run_before(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, version: Version
) -> None:
    made = api.recurring[cluster.schedule(version, NIGHTLY, AT_3, replace=False)]
    assert made.trigger.cron_schedule.cron == "0 0 3 * * *"
    assert made.pipeline_version_reference.pipeline_version_id == version.version_id
    assert made.runtime_config.parameters == {"span": 3}
    assert made.runtime_config.pipeline_root == "s3://bucket/shop"
    assert (made.max_concurrency, made.no_catchup, made.mode) == ("1", True, "ENABLE")


def test_a_schedule_is_replaced_when_asked(cluster: KubeflowPipelines, api: KubeflowPipelinesApi, version: Version) -> None:
    first = cluster.schedule(version, NIGHTLY, AT_3, replace=False)
    elsewhere = cluster.schedule(version, Launch("nightly", "trials", {}), AT_3, replace=False)
    with pytest.raises(ClusterError) as raised:
        cluster.schedule(version, NIGHTLY, AT_4, replace=False)
    assert "experiment 'shop' has a schedule of the name 'nightly' already, 0 0 3 * * *; give --replace" in str(raised.value)
    assert set(api.recurring) == {first, elsewhere}
    second = cluster.schedule(version, NIGHTLY, AT_4, replace=True)
    assert set(api.recurring) == {second, elsewhere}


def test_a_replacement_that_is_refused_leaves_the_schedule_that_was(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, version: Version
) -> None:
    first = cluster.schedule(version, NIGHTLY, AT_3, replace=False)
    api.switches.refuse = {"recurring_run_service_create_recurring_run": [(500, "no memory")]}
    with pytest.raises(ClusterError, match="answered 500 while scheduling 'nightly': no memory"):
        cluster.schedule(version, NIGHTLY, AT_4, replace=True)
    assert set(api.recurring) == {first}


def test_runs_are_listed_newest_first_over_all_pages(cluster: KubeflowPipelines, version: Version) -> None:
    started = [cluster.start(version, LAUNCH) for _ in range(3)]
    elsewhere = cluster.start(version, Launch("other", "trials", {}))
    assert [run.run_id for run in cluster.runs(100, None)] == [elsewhere, *reversed(started)]
    assert [run.run_id for run in cluster.runs(2, "shop")] == [started[2], started[1]]
    (run,) = cluster.runs(1, "trials")
    assert (run.name, run.state, run.finished) == ("other", "PENDING", None)
    for hour in range(101):  # a page holds 100
        cluster.schedule(version, Launch(f"schedule {hour}", "shop", {}), AT_3, replace=False)
    assert len(cluster.schedules("shop")) == 101
    assert cluster.schedules("trials") == []


def test_an_experiment_that_is_not_there_is_named(cluster: KubeflowPipelines) -> None:
    for ask in (lambda: cluster.runs(1, "tryals"), lambda: cluster.schedules("tryals")):
        with pytest.raises(ConfigError, match="has no experiment 'tryals'"):
            ask()


def test_an_answer_that_never_comes_says_that_the_request_may_have_been_carried_out(
    api: KubeflowPipelinesApi, package: Package
) -> None:
    cluster = KubeflowPipelines(Access(api.url, timeouts_s=(0.5, 0.5)))
    version = cluster.upload(package)
    api.switches.slow_s = {"run_service_create_run": 1.0}
    with pytest.raises(ClusterError, match="no answer within the time limit") as raised:
        cluster.start(version, LAUNCH)
    assert "whether the request was carried out is not known, `winnow runs` shows it" in str(raised.value)
    assert len(api.runs) == 1
