"""The command ``winnow``. Heavy imports stay inside the commands, so that ``--help`` answers at once."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components.config import load_config
from pipelines.beam_profiles import LOCAL_BEAM, load_beam
from pipelines.kubeflow.client.commands import app as kubeflow_app
from pipelines.show import (
    recommend_curl,
    show_ablation,
    show_answer,
    show_batch,
    show_benchmark,
    show_compiled,
    show_outcome,
    show_reply,
    show_tuned,
)
from pipelines.terminal import Json, failing_clearly, quiet
from pipelines.work import (
    ablation,
    asked,
    asked_both,
    benchmarked,
    compile_for_kubeflow,
    gateway_request,
    refuse_to_overwrite,
    run_and_report,
    serving_command,
    streamed,
    tuned,
)

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
app.add_typer(kubeflow_app)

DEFAULT_CONFIG = Path("infra/config/movielens-100k.yaml")
DEFAULT_KUBEFLOW = Path("infra/config/kubeflow.yaml")
DEMO_GATEWAY = Path("infra/config/gateway/movielens-100k.yaml")
Workdir = Annotated[Path, typer.Option(help="Where runs keep artifacts, releases, metadata and logs.")]
DEFAULT_WORKDIR = Path("var/run")
PORT, REST_PORT, GRPC_PORT = 8080, 8501, 8500


@data_app.command("movielens-100k")
def data_movielens(
    output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("var/data/movielens-100k"),
) -> None:
    """100,000 ratings of films with titles, genres, and users' age and occupation (GroupLens; research use)."""
    from components.datasets import movielens

    with failing_clearly():
        folder = movielens.fetch(output, typer.echo)
        typer.echo(f"{movielens.NOTICE}\n\nIn {folder}. Next: winnow run --config {DEFAULT_CONFIG}")


@data_app.command("open-bandit")
def data_open_bandit(
    output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("var/data/open-bandit"),
) -> None:
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
    from components.ingest.guess import guess_config

    with failing_clearly():
        refuse_to_overwrite(output, force)
        text = guess_config(events, items, users, output)
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = output.with_name(f".{output.name}.partial")
        partial.write_text(text)
        load_config(partial)
        partial.replace(output)
        typer.echo(f"{output} is written. Read its comments, then: winnow run --config {output}")


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="The config of the data set and of the models.")] = DEFAULT_CONFIG,
    workdir: Workdir = DEFAULT_WORKDIR,
    from_node: Annotated[
        str | None, typer.Option("--from", help="Start at this node; take the rest from the last run.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every node, even those with nothing new.")] = False,
    beam: Annotated[
        Path | None,
        typer.Option(help="YAML file naming a Flink or Spark cluster for the Beam work; by default it is done here."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the batch pipeline: from events to a published release and a report."""
    log = workdir / "run.log"
    with failing_clearly(log):
        settings, profile = load_config(config), load_beam(beam) if beam else LOCAL_BEAM
        with quiet(log, as_json) as console:
            outcome = run_and_report(settings, workdir, from_node, not no_cache, console, log, beam=profile)
        typer.echo(json.dumps(outcome)) if as_json else show_outcome(outcome)


@app.command()
def tune(
    output: Annotated[Path, typer.Option(help="The config to write, with the settings that were found.")],
    config: Annotated[Path, typer.Option(help="The config, with what to search for under `tuning`.")] = DEFAULT_CONFIG,
    workdir: Workdir = DEFAULT_WORKDIR,
    force: Annotated[bool, typer.Option(help="Overwrite the output if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Search for better settings, by trainings that are judged on the validation split, and write a config with them."""
    log = workdir / "tune.log"
    with failing_clearly(log):
        refuse_to_overwrite(output, force)
        with quiet(log, as_json) as console:
            made = tuned(config, workdir, output, console)
        typer.echo(json.dumps(made)) if as_json else show_tuned(made)


@app.command(name="compile")
def compile_(
    output: Annotated[Path, typer.Option(help="The YAML file to write.")],
    config: Annotated[Path, typer.Option(help="The config of the data set and of the models.")] = DEFAULT_CONFIG,
    kubeflow: Annotated[
        Path, typer.Option(help="How it runs on the cluster: image, places, resources, secrets.")
    ] = DEFAULT_KUBEFLOW,
    as_json: Json = False,
) -> None:
    """Compile the pipeline for Kubeflow Pipelines 2; the same settings give the same bytes."""
    log = output.with_suffix(".log")
    with failing_clearly(log):
        made = compile_for_kubeflow(config, kubeflow, output, log)
        typer.echo(json.dumps(made)) if as_json else show_compiled(made)


@app.command()
def serve(
    workdir: Workdir = DEFAULT_WORKDIR,
    host: Annotated[
        str, typer.Option(help="Where the gateway listens; beyond this machine only with keys: see the README.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, help="Port of the gateway: recommendations and events.")] = PORT,
    grpc_port: Annotated[int, typer.Option(min=1, help="Port of the models' gRPC API.")] = GRPC_PORT,
    rest_port: Annotated[int, typer.Option(min=1, help="Port of the models' REST API.")] = REST_PORT,
    settings: Annotated[
        Path | None, typer.Option(help="YAML file of the gateway's settings: deadline, recall, re-ranking.")
    ] = None,
) -> None:
    """Serve recommendations, and on this machine the models with TensorFlow Serving's API, until interrupted.

    A release that a later run publishes is taken up without a pause; `winnow rollback` goes back to the one before.
    """
    with failing_clearly():
        command = serving_command(workdir, host, port, grpc_port, rest_port, settings)
        gateway = f"http://{host}:{port}"
        typer.echo(
            f"gateway {gateway}   models: REST http://127.0.0.1:{rest_port}, gRPC 127.0.0.1:{grpc_port}   Ctrl-C ends all"
        )
        typer.echo(f"Recommendations:  {recommend_curl(gateway, {'count': 5})}")
        typer.echo(f"The models alone: winnow query --workdir {workdir} --url http://127.0.0.1:{rest_port}")
        typer.echo("The line that follows says that all is ready:")
        os.execv(command[0], command)  # noqa: S606  the server takes this process's place, and its signals


@app.command()
def stream(
    config: Annotated[
        Path, typer.Option(help="The config of the data set: which event types are impressions.")
    ] = DEFAULT_CONFIG,
    workdir: Workdir = DEFAULT_WORKDIR,
    once: Annotated[bool, typer.Option("--once", help="Count what is there, then end.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks for new files.")] = 10.0,
    beam: Annotated[
        Path | None,
        typer.Option(help="YAML file naming a Flink or Spark cluster for the Beam work; by default it is done here."),
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="HOST:PORT at which Prometheus is answered; by default nowhere.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each batch.")] = False,
) -> None:
    """Count the events of the online log in micro-batches: items by the hour, and what had most events lately.

    Each file of WORKDIR/online-log/events is counted exactly once, into WORKDIR/stream. It may be killed at any moment: the
    next start does the batch at work again, into the same place.
    """
    with failing_clearly():
        for batch in streamed(load_config(config), workdir, load_beam(beam) if beam else LOCAL_BEAM, once, every, metrics):
            typer.echo(json.dumps(batch)) if as_json else show_batch(batch)
        if once and not as_json:
            typer.echo(f"Nothing of {workdir / 'online-log'} is left to count.")


@app.command()
def rollback(workdir: Workdir = DEFAULT_WORKDIR, as_json: Json = False) -> None:
    """Serve the previous release again; running servers take it up within seconds. A second time undoes the first."""
    from components.push.registry import Registry

    with failing_clearly():
        registry = Registry(workdir / "releases")
        left, version = registry.current(), registry.roll_back()
        typer.echo(
            json.dumps({"release": version, "left": left}) if as_json else f"Release {version} is served again, not {left}."
        )


@app.command()
def query(
    workdir: Workdir = DEFAULT_WORKDIR,
    user: Annotated[str | None, typer.Option(help="User id; by default one of middling activity.")] = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="Length of the list.")] = 10,
    url: Annotated[
        str | None, typer.Option(help="REST API of a running server; by default one is started for the query.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask for one user's recommendations over TensorFlow Serving's REST API."""
    log = workdir / "query.log"
    with failing_clearly(log):
        with quiet(log):
            answer = asked(workdir, user, count, url)
        typer.echo(json.dumps(answer.to_dict())) if as_json else show_answer(answer, Console())


@app.command()
def benchmark(
    name: Annotated[
        str, typer.Argument(help="ml-1m, amazon-beauty, ml-100k, ctr, cold, lists-synthetic, or the file of a config.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data as the papers on sequences have them, read once.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many runs, each with a seed of its own.")] = 1,
    workdir: Annotated[Path | None, typer.Option(help="By default var/benchmarks/NAME.")] = None,
    as_json: Json = False,
) -> None:
    """Run the pipeline on a paper's data by the paper's protocol, and show the figures beside the published ones.

    ctr: how well each ranker predicts clicks, on simulated impressions beside the true probability. cold: who finds new items.
    lists-synthetic: what ten items are worth by the truth.
    """
    place = workdir or Path("var/benchmarks") / Path(name).stem
    log = place / "benchmark.log"
    with failing_clearly(log):
        with quiet(log, as_json) as console:
            made = benchmarked(name, data, seeds, place, console, log)
        if as_json:
            typer.echo(json.dumps({"benchmarks": made}))
        else:
            for each in made:
                show_benchmark(each)


@app.command()
def ablate(
    workdir: Workdir = DEFAULT_WORKDIR,
    settings: Annotated[
        Path | None, typer.Option(help="YAML file of the gateway's settings: the sources and steps in question.")
    ] = None,
    split: Annotated[str, typer.Option(help="eval, to choose by, or test, to report.")] = "eval",
    moments: Annotated[int, typer.Option(min=1, help="How many moments are answered at most.")] = 2_000,
    as_json: Json = False,
) -> None:
    """Leave out each source of recall and each step of re-ranking in turn, and see what the lists lose.

    The gateway's own code answers the moments of a split, from the release that WORKDIR serves.
    """
    log = workdir / "ablate.log"
    with failing_clearly(log):
        with quiet(log, as_json) as console:
            made = ablation(workdir, settings, split, moments, console)
        typer.echo(json.dumps(made)) if as_json else show_ablation(made)


@app.command()
def report(
    workdir: Workdir = DEFAULT_WORKDIR,
    output: Annotated[
        Path | None, typer.Option(help="The page to write; by default report.html in the work directory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about the last run: data, metrics beside baselines, slices, timings, lists."""
    log = workdir / "report.log"
    with failing_clearly(log):
        with quiet(log):
            from pipelines.report import write_report

            page = write_report(workdir, output or workdir / "report.html")
        typer.echo(json.dumps({"report": str(page)}) if as_json else str(page))


@app.command()
def demo(workdir: Workdir = Path("var/demo")) -> None:
    """MovieLens from download to recommendations: data, pipeline, release, model server, query, report."""
    log = workdir / "run.log"
    console = Console(highlight=False)
    with failing_clearly(log):
        data_movielens(Path("var/data/movielens-100k"))
        with quiet(log) as quietly:
            outcome = run_and_report(load_config(DEFAULT_CONFIG), workdir, None, True, quietly, log)
        show_outcome(outcome)
        with quiet(log):
            answer, reply = asked_both(workdir, 10, DEMO_GATEWAY)
        show_answer(answer, console)
        show_reply(reply, recommend_curl(f"http://127.0.0.1:{PORT}", gateway_request(answer)), console)
        console.print(
            f"\n[bold]How to go on[/bold]\n"
            f"  make serve                    keep gateway and models running; then the curl lines above work\n"
            f"  {outcome['report']}   the report of this run, for a browser\n"
            f"  winnow init --help            a config for data of your own, and `winnow run --config` on it",
            soft_wrap=True,
        )


def main() -> None:
    app()


if __name__ == "__main__":
    main()
