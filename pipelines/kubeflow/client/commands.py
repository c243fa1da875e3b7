"""The commands that need a cluster: `winnow submit`, `winnow schedule`, `winnow runs`. Heavy imports stay inside them."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from components.errors import ConfigError
from pipelines.kubeflow.client.cron import Cron
from pipelines.kubeflow.client.options import (
    CaFile,
    Cluster,
    Config,
    Cookie,
    Endpoint,
    Experiment,
    Namespace,
    PackageFile,
    PageUrl,
    Root,
    ServiceAccount,
    Settings,
    Token,
    TokenFile,
    Workdir,
)
from pipelines.kubeflow.settings import load_kubeflow
from pipelines.terminal import Json, failing_clearly, quiet

if TYPE_CHECKING:
    from pipelines.kubeflow.client.installation import KubeflowPipelines, Launch, Version
    from pipelines.kubeflow.client.package import Package

app = typer.Typer()

DEFAULT_KUBEFLOW = Path("infra/config/kubeflow.yaml")
DEFAULT_WORKDIR = Path("var/kubeflow")


@app.command()
def submit(
    config: Config = None,
    package: PackageFile = None,
    kubeflow: Cluster = DEFAULT_KUBEFLOW,
    endpoint: Endpoint = None,
    namespace: Namespace = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run to its end; the exit code is 0 only if it succeeds.")
    ] = False,
    poll_seconds: Annotated[float, typer.Option(min=0.01, help="With --wait: how often to ask.")] = 5.0,
    name: Annotated[str | None, typer.Option(help="Name of the run; by default the pipeline's, with the time.")] = None,
    experiment: Experiment = None,
    settings: Settings = None,
    pipeline_root: Root = None,
    service_account: ServiceAccount = None,
    token: Token = None,
    token_file: TokenFile = None,
    cookie: Cookie = None,
    ca_file: CaFile = None,
    ui_url: PageUrl = None,
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Run the pipeline on Kubeflow Pipelines: compile it, upload it, start a run.

    The same pipeline is uploaded once: what has not changed since the last time is used again.
    """
    log = workdir / "submit.log"
    with failing_clearly(log):
        compiled = _package(config, package, kubeflow, workdir)
        with quiet(log, as_json) as console:
            from pipelines.kubeflow.client.follow import follow, require_success
            from pipelines.kubeflow.client.progress import RunProgress

            account = service_account or _account(config, kubeflow)
            launch = _launch(compiled, name, experiment, settings, pipeline_root, account)
            cluster = _cluster(endpoint, namespace, token, token_file, cookie, ca_file, ui_url)
            version = cluster.upload(compiled)
            run_id = cluster.start(version, launch)
            link = cluster.run_link(run_id)
            result = {**_submitted(cluster, version, launch), "run": launch.name, "run_id": run_id, "link": link}
            _show_start(console, version, f"Run {launch.name}: {link}")
            if wait:
                progress = RunProgress(console)
                try:
                    outcome = follow(cluster, run_id, compiled.nodes, progress, poll_seconds)
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(f"the run goes on on the cluster: {link}") from None
                finally:
                    progress.stop()
                result |= {"state": outcome.state, "nodes": {node.name: node.state for node in outcome.nodes}}
        if as_json:
            typer.echo(json.dumps(result))
        if wait:
            require_success(outcome, launch.name, link)
        if not as_json:
            typer.echo(
                "The run succeeded." if wait else "It goes on on the cluster; --wait would follow it, `winnow runs` lists it."
            )


@app.command()
def schedule(
    cron: Annotated[
        str,
        typer.Option(
            help="When, in UTC unless the cluster says otherwise: minute hour day-of-month month day-of-week, as in "
            "'0 3 * * *' for every day at 3:00. Six fields are read with seconds first."
        ),
    ],
    config: Config = None,
    package: PackageFile = None,
    kubeflow: Cluster = DEFAULT_KUBEFLOW,
    endpoint: Endpoint = None,
    namespace: Namespace = None,
    name: Annotated[str | None, typer.Option(help="Name of the schedule; by default the pipeline's.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of the schedule of the same name.")] = False,
    experiment: Experiment = None,
    settings: Settings = None,
    pipeline_root: Root = None,
    service_account: ServiceAccount = None,
    token: Token = None,
    token_file: TokenFile = None,
    cookie: Cookie = None,
    ca_file: CaFile = None,
    ui_url: PageUrl = None,
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Have Kubeflow Pipelines run the pipeline again and again, at the times of a cron expression.

    It runs the pipeline as it is now; after a change, schedule it anew with --replace. A run does not begin while the one
    before goes on, and times that were missed are not made up for.
    """
    log = workdir / "submit.log"
    with failing_clearly(log):
        times = Cron.parse(cron)
        compiled = _package(config, package, kubeflow, workdir)
        with quiet(log, as_json) as console:
            account = service_account or _account(config, kubeflow)
            launch = _launch(compiled, name or compiled.name, experiment, settings, pipeline_root, account)
            cluster = _cluster(endpoint, namespace, token, token_file, cookie, ca_file, ui_url)
            version = cluster.upload(compiled)
            schedule_id = cluster.schedule(version, launch, times, replace)
            following = times.next_after(datetime.now(UTC))
            result = {
                **_submitted(cluster, version, launch),
                "schedule": launch.name,
                "schedule_id": schedule_id,
                "cron": times.expression,
                "next": following.isoformat() if following else None,
            }
            _show_start(console, version, f"Schedule {launch.name}: {times.expression} (seconds first)")
        typer.echo(json.dumps(result) if as_json else f"Next time: {following:%Y-%m-%d %H:%M:%S} UTC. `winnow runs` lists it.")


@app.command()
def runs(
    endpoint: Endpoint = None,
    namespace: Namespace = None,
    experiment: Annotated[str | None, typer.Option(help="Only those of this experiment.")] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs, the newest first.")] = 20,
    token: Token = None,
    token_file: TokenFile = None,
    cookie: Cookie = None,
    ca_file: CaFile = None,
    ui_url: PageUrl = None,
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """List the runs on Kubeflow Pipelines, newest first, and the schedules."""
    log = workdir / "submit.log"
    with failing_clearly(log):
        with quiet(log):
            cluster = _cluster(endpoint, namespace, token, token_file, cookie, ca_file, ui_url)
            result = {
                "schedules": [asdict(each) for each in cluster.schedules(experiment)],
                "runs": [asdict(each) for each in cluster.runs(count, experiment)],
            }
        typer.echo(json.dumps(result, default=datetime.isoformat)) if as_json else _show_runs(result, Console(highlight=False))


def _package(config: Path | None, package: Path | None, kubeflow: Path, workdir: Path) -> "Package":
    from pipelines.kubeflow.client.package import Package

    if package is not None and config is None:
        return Package.read(package)
    if config is None or package is not None:
        found = "both" if package else "neither"
        raise ConfigError(f"found {found}, wanted one of --config (compiled first) and --package (compiled before)")
    from pipelines.work import compile_for_kubeflow

    compiled = workdir / "pipeline.yaml"
    compile_for_kubeflow(config, kubeflow, compiled, workdir / "compile.log")
    return Package.read(compiled)


def _account(config: Path | None, kubeflow: Path) -> str | None:
    """The service account that the cluster's settings name; a compiled pipeline has no place for it."""
    return load_kubeflow(kubeflow).service_account if config is not None else None


def _launch(
    package: "Package",
    name: str | None,
    experiment: str | None,
    settings: list[str] | None,
    root: str | None,
    service_account: str | None,
) -> "Launch":
    from pipelines.kubeflow.client.installation import Launch

    return Launch(
        name=name or f"{package.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        experiment=experiment or package.name,
        parameters=package.values(settings or []),
        root=root or package.root,
        service_account=service_account,
    )


def _cluster(
    endpoint: str | None,
    namespace: str | None,
    token: str | None,
    token_file: Path | None,
    cookie: str | None,
    ca_file: Path | None,
    page_url: str | None,
) -> "KubeflowPipelines":
    from pipelines.kubeflow.client.connection import Access
    from pipelines.kubeflow.client.installation import KubeflowPipelines

    return KubeflowPipelines(Access(endpoint, namespace, token, token_file, cookie, ca_file), page_url)


def _submitted(cluster: "KubeflowPipelines", version: "Version", launch: "Launch") -> dict[str, Any]:
    return {
        "endpoint": cluster.endpoint,
        "namespace": cluster.namespace,
        "experiment": launch.experiment,
        "pipeline": version.pipeline,
        "pipeline_id": version.pipeline_id,
        "version": version.name,
        "version_id": version.version_id,
        "uploaded": version.uploaded,
    }


def _show_start(console: Console, version: "Version", what: str) -> None:
    state = "uploaded" if version.uploaded else "unchanged, used again"
    console.print(f"Pipeline {version.pipeline}, version {version.name}: {state}", markup=False, soft_wrap=True)
    console.print(what, markup=False, soft_wrap=True)


def _show_runs(result: dict[str, list[dict[str, Any]]], console: Console) -> None:
    for key, columns in (
        ("schedules", ("name", "when", "enabled", "schedule_id")),
        ("runs", ("name", "state", "created", "finished", "run_id")),
    ):
        if not result[key]:
            console.print(f"No {key}")
            continue
        table = Table(title=f"{key.capitalize()}, newest first; times in UTC", title_justify="left")
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for each in result[key]:
            table.add_row(*(_cell(each[column]) for column in columns))
        console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
