"""The command ``winnow``. Heavy imports stay inside the commands, so that ``--help`` answers at once."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.config import load_config
from components.errors import WinnowError
from pipelines.terminal import NodeProgress, failing_clearly, quiet

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="winnow, a recommender from events to answers.\n\n"
    "First steps: [bold]winnow data movielens-100k[/bold], then [bold]winnow run[/bold], then [bold]winnow query[/bold]. "
    "With data of your own: [bold]winnow init[/bold] writes a config for it.",
)
data_app = typer.Typer(no_args_is_help=True, help="Get a data set: real ones by download, or a simulated one.")
app.add_typer(data_app, name="data")

DEFAULT_CONFIG = Path("infra/config/movielens-100k.yaml")
Workdir = Annotated[Path, typer.Option(help="Where runs keep artifacts, releases, metadata and logs.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
DEFAULT_WORKDIR = Path("var/run")
REST_PORT, GRPC_PORT = 8501, 8500


class NamedData(StrEnum):
    MOVIELENS = "movielens-100k"
    OPEN_BANDIT = "open-bandit"


@data_app.command("movielens-100k")
def data_movielens(output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("var/data/movielens-100k")) -> None:
    """100,000 ratings of films with titles, genres, and users' age and occupation (GroupLens; research use)."""
    from components.datasets import movielens

    with failing_clearly():
        folder = movielens.fetch(output, typer.echo)
        typer.echo(f"{movielens.NOTICE}\n\nIn {folder}. Next: winnow run --config {DEFAULT_CONFIG}")


@data_app.command("open-bandit")
def data_open_bandit(output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("var/data/open-bandit")) -> None:
    """Impressions of a fashion shop with position, click and propensity (ZOZO; CC BY 4.0)."""
    from components.datasets import open_bandit

    with failing_clearly():
        folder = open_bandit.fetch(output, typer.echo)
        typer.echo(f"{open_bandit.NOTICE}\n\nIn {folder}.")


@data_app.command("synthetic")
def data_synthetic(
    events: Annotated[int, typer.Option(min=1_000, help="How many events to write.")] = 1_000_000,
    output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("var/data/synthetic"),
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 0,
    days: Annotated[int, typer.Option(min=1, help="Length of the simulated period.")] = 30,
    truth: Annotated[bool, typer.Option(help="Also write each impression's true click probability.")] = False,
) -> None:
    """Simulated users with drifting tastes, items with lifetimes, sessions, impressions, clicks and dwell times."""
    from components.datasets.synthetic import SyntheticConfig, generate

    with failing_clearly():
        settings = SyntheticConfig(events=events, seed=seed, days=days, with_truth=truth)
        folder = generate(settings, output, typer.echo)
        typer.echo(f"In {folder}. Next: winnow init --events {folder / 'events'} --items {folder / 'items.parquet'} "
                   f"--users {folder / 'users.parquet'} --output {folder / 'winnow.yaml'}")  # fmt: skip


@app.command()
def init(
    events: Annotated[Path, typer.Option(help="Your events: CSV, TSV, Parquet or JSON lines; a file or a folder.")],
    output: Annotated[Path, typer.Option(help="The config to write.")],
    items: Annotated[Path | None, typer.Option(help="Your items, with their features.")] = None,
    users: Annotated[Path | None, typer.Option(help="Your users, with their features.")] = None,
    force: Annotated[bool, typer.Option(help="Overwrite the config if it is there.")] = False,
) -> None:
    """Look at your files and write a config that `winnow run` takes, with a comment at every guess."""
    from components.errors import ConfigError
    from components.ingest.guess import guess_config

    with failing_clearly():
        if output.exists() and not force:
            raise ConfigError(f"{output}: is there already; give another --output, or --force to overwrite it")
        text = guess_config(events, items, users, output)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
        load_config(output)
        typer.echo(f"{output} is written. Read its comments, then: winnow run --config {output}")


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="The config of the data set and of the models.")] = DEFAULT_CONFIG,
    workdir: Workdir = DEFAULT_WORKDIR,
    from_node: Annotated[str | None, typer.Option("--from", help="Start at this node; take the rest from the last run.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every node, even those with nothing new.")] = False,
    as_json: Json = False,
) -> None:
    """Run the batch pipeline: from events to a published release and a report."""
    log = workdir / "run.log"
    with failing_clearly(log):
        settings = load_config(config)
        with quiet(log) as console:
            if as_json:
                console.file = Console(stderr=True).file
            console.print(f"[bold]{settings.name}[/bold]: {config} → {workdir}   [dim]log: {log}[/dim]")
            outcome = _run(settings, workdir, from_node, not no_cache, console)
        _show_outcome(outcome, as_json)


def _run(settings, workdir: Path, from_node: str | None, cache: bool, console: Console) -> dict:  # noqa: ANN001
    with console.status("Starting TFX …") if console.is_terminal else quiet_nothing():
        from pipelines.local_runner import run as run_pipeline
        from pipelines.report import write_report
    progress = NodeProgress(console)
    try:
        run_pipeline(settings, workdir, from_node, cache, progress)
    finally:
        seconds = progress.stop()
    report = write_report(workdir, workdir / "report.html")
    from pipelines.outcome import read_outcome

    return {**read_outcome(workdir), "seconds": round(seconds, 1), "report": str(report)}
