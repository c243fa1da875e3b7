"""What is asked of Kubeflow Pipelines: a version of the pipeline, an experiment, runs, schedules."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import kfp_server_api
from kfp_server_api.exceptions import ApiException

from components.errors import ClusterError, ConfigError, RunFailedError
from pipelines.kubeflow.client.connection import Access, connect
from pipelines.kubeflow.client.cron import Cron
from pipelines.kubeflow.client.package import Package
from pipelines.kubeflow.client.refusals import refused_clearly

PAGE_SIZE = 100


@dataclass(frozen=True)
class Version:
    """A package as the installation keeps it; ``uploaded`` is False where the same content was there already."""

    pipeline: str
    pipeline_id: str
    name: str
    version_id: str
    uploaded: bool


@dataclass(frozen=True)
class Launch:
    """How a run is to be made, now or by a schedule.

    Attributes:
      name: of the run or of the schedule.
      root: where artifacts go; None leaves it to the installation.
    """

    name: str
    experiment: str
    parameters: Mapping[str, Any]
    root: str | None = None
    service_account: str | None = None


@dataclass(frozen=True)
class RunFacts:
    """A run as a list shows it."""

    run_id: str
    name: str
    state: str
    created: datetime | None
    finished: datetime | None
    schedule_id: str | None
    link: str


@dataclass(frozen=True)
class Schedule:
    """A recurring run as a list shows it; ``when`` is a cron expression, or a number of seconds."""

    schedule_id: str
    name: str
    when: str
    enabled: bool
    created: datetime | None
    link: str


class KubeflowPipelines:
    """One installation, asked by one user.

    Raises, here and in every method:
      ConfigError: the access is not complete. ClusterError: the installation does not answer, or refuses.
    """

    def __init__(self, access: Access, page_url: str | None = None) -> None:
        """``page_url`` is the root of the web page, for links, where it is not at the endpoint."""
        self._client, self.health, self.endpoint = connect(access)
        self._page = (page_url or self.endpoint).rstrip("/")
        self._namespace = self._client.get_user_namespace() or None

    @property
    def namespace(self) -> str | None:
        """Where runs go; None where the installation knows no users."""
        return self._namespace

    def run_link(self, run_id: str) -> str:
        return f"{self._page}/#/runs/details/{run_id}"

    def upload(self, package: Package) -> Version:
        """Keep the package as a version of its pipeline, unless the same content is kept already."""
        pipeline_id = self._pipeline_id(package.name) or self._create_pipeline(package.name)
        found = self._version_id(pipeline_id, package.version)
        if found is not None:
            return Version(package.name, pipeline_id, package.version, found, uploaded=False)
        doing = f"uploading version {package.version} of pipeline {package.name!r}"
        with refused_clearly(self.endpoint, doing):
            try:
                made = self._client.upload_pipeline_version(str(package.path), package.version, pipeline_id=pipeline_id)
            except ApiException as error:
                found = self._version_id(pipeline_id, package.version) if error.status == 409 else None
                if found is None:
                    raise
                return Version(package.name, pipeline_id, package.version, found, uploaded=False)
        return Version(package.name, pipeline_id, package.version, made.pipeline_version_id, uploaded=True)

    def start(self, version: Version, launch: Launch) -> str:
        """Begin a run of an uploaded version; its id."""
        with refused_clearly(self.endpoint, f"starting run {launch.name!r} of pipeline {version.pipeline!r}"):
            made = self._client.run_pipeline(
                experiment_id=self._experiment_id(launch.experiment),
                job_name=launch.name,
                params=dict(launch.parameters),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                pipeline_root=launch.root,
                service_account=launch.service_account,
            )
        return str(made.run_id)

    def run(self, run_id: str) -> kfp_server_api.V2beta1Run:
        """A run as it is now, with its nodes.

        Raises:
          RunFailedError: it is not there any more.
        """
        with refused_clearly(self.endpoint, f"asking for run {run_id}"):
            try:
                return self._client.get_run(run_id)
            except ApiException as error:
                if error.status != 404:
                    raise
                raise RunFailedError(f"{self.endpoint}: run {run_id} is not there any more; it has been deleted") from error

    def schedule(self, version: Version, launch: Launch, cron: Cron, replace: bool) -> str:
        """Have the version run again and again; the schedule's id.

        A missed time is not made up for, and a run does not begin while the one before goes on.

        Raises:
          ClusterError: the experiment has a schedule of that name, and ``replace`` is False.
        """
        with refused_clearly(self.endpoint, f"scheduling {launch.name!r}"):
            experiment_id = self._experiment_id(launch.experiment)
            same = [each for each in self._schedules(launch.name) if each.experiment_id == experiment_id]
            if same and not replace:
                raise ClusterError(
                    f"{self.endpoint}: experiment {launch.experiment!r} has a schedule of the name {launch.name!r} already, "
                    f"{_when(same[0])}; give --replace to put this one in its place, or another --name"
                )
            made = self._client.create_recurring_run(
                experiment_id=experiment_id,
                job_name=launch.name,
                cron_expression=cron.expression,
                max_concurrency=1,
                no_catchup=True,
                params=dict(launch.parameters),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                pipeline_root=launch.root,
                service_account=launch.service_account,
            )
            # The new one first: where it is refused, the old one goes on.
            for each in same:
                self._client.delete_recurring_run(each.recurring_run_id)
        return str(made.recurring_run_id)

    def runs(self, count: int, experiment: str | None) -> list[RunFacts]:
        """The latest runs, newest first."""
        with refused_clearly(self.endpoint, "listing runs"):
            where = {"experiment_id": self._known_experiment_id(experiment)} if experiment else {"namespace": self._namespace}
            pages = _pages(self._client.list_runs, "runs", page_size=min(count, PAGE_SIZE), sort_by="created_at desc", **where)
            return [
                RunFacts(
                    run_id=each.run_id,
                    name=each.display_name,
                    state=each.state or "PENDING",
                    created=each.created_at,
                    finished=each.finished_at if each.finished_at and each.finished_at.year > 1970 else None,
                    schedule_id=each.recurring_run_id or None,
                    link=self.run_link(each.run_id),
                )
                for _, each in zip(range(count), pages, strict=False)
            ]

    def schedules(self, experiment: str | None) -> list[Schedule]:
        """Every schedule, newest first."""
        with refused_clearly(self.endpoint, "listing schedules"):
            wanted = self._known_experiment_id(experiment) if experiment else None
            return [
                Schedule(
                    schedule_id=each.recurring_run_id,
                    name=each.display_name,
                    when=_when(each),
                    enabled=each.mode == kfp_server_api.RecurringRunMode.ENABLE
                    or each.status == kfp_server_api.V2beta1RecurringRunStatus.ENABLED,
                    created=each.created_at,
                    link=f"{self._page}/#/recurringrun/details/{each.recurring_run_id}",
                )
                for each in self._schedules(None)
                if wanted in (None, each.experiment_id)
            ]

    def _schedules(self, name: str | None) -> Iterator[kfp_server_api.V2beta1RecurringRun]:
        return _pages(
            self._client.list_recurring_runs,
            "recurring_runs",
            page_size=PAGE_SIZE,
            sort_by="created_at desc",
            namespace=self._namespace,
            filter=_named(name) if name else None,
        )

    def _pipeline_id(self, name: str) -> str | None:
        # kfp's own search by name asks for shared pipelines only.
        with refused_clearly(self.endpoint, f"looking for pipeline {name!r}"):
            found = self._client.list_pipelines(namespace=self._namespace, filter=_named(name)).pipelines
        return found[0].pipeline_id if found else None

    def _create_pipeline(self, name: str) -> str:
        """An empty one: made by an upload, its first version would bear the pipeline's name instead of the content's."""
        with refused_clearly(self.endpoint, f"creating pipeline {name!r}"):
            pipeline = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=self._namespace)
            try:
                return str(self._client.pipelines.pipeline_service_create_pipeline(pipeline).pipeline_id)
            except ApiException as error:
                if error.status != 409:
                    raise
                found = self._pipeline_id(name)  # somebody else may have made it this moment
                if found is None:
                    raise ClusterError(
                        f"{self.endpoint}: the name {name!r} is taken by a pipeline that you may not see; change `name` in the "
                        "config, or ask the installation's administrator"
                    ) from error
                return found

    def _version_id(self, pipeline_id: str, name: str) -> str | None:
        with refused_clearly(self.endpoint, f"looking for version {name}"):
            found = self._client.list_pipeline_versions(pipeline_id, filter=_named(name)).pipeline_versions
        return found[0].pipeline_version_id if found else None

    def _experiment_id(self, name: str) -> str:
        with refused_clearly(self.endpoint, f"creating experiment {name!r}"):
            return str(self._client.create_experiment(name, namespace=self._namespace).experiment_id)

    def _known_experiment_id(self, name: str) -> str:
        found = self._client.list_experiments(namespace=self._namespace, filter=_named(name)).experiments
        if not found:
            raise ConfigError(f"--experiment: {self.endpoint} has no experiment {name!r}")
        return str(found[0].experiment_id)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _pages(ask: Callable[..., Any], key: str, **arguments: Any) -> Iterator[Any]:
    token = ""
    while True:
        page = ask(page_token=token, **arguments)
        yield from getattr(page, key) or []
        token = page.next_page_token
        if not token:
            return


def _when(schedule: kfp_server_api.V2beta1RecurringRun) -> str:
    trigger = schedule.trigger
    if trigger is None:
        return ""
    if trigger.cron_schedule is not None:
        return str(trigger.cron_schedule.cron)
    return f"every {trigger.periodic_schedule.interval_second} s"
