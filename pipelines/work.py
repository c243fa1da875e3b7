"""What the commands do, apart from how they show it."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from components.config import PipelineConfig, load_config, load_settings
from components.errors import ConfigError, ServingError
from components.push.registry import Registry, sha256, write_atomically
from pipelines.beam_profiles import LOCAL_BEAM, ClusterBeam, LocalBeam
from pipelines.kubeflow.parameters import RUN_PARAMETERS
from pipelines.kubeflow.settings import load_kubeflow
from pipelines.nodes import nodes_of
from pipelines.past_runs import latest_outputs
from pipelines.terminal import NodeProgress, quiet
from pipelines.tuning import found, last_tuner, write_tuned
from serving.gateway.process import EmbeddedGateway
from serving.model_server.process import EmbeddedServer

if TYPE_CHECKING:
    from pipelines.ask import Answer

SHOWN_REST_URL = "http://127.0.0.1:8501"


def run_and_report(
    config: PipelineConfig,
    workdir: Path,
    from_node: str | None,
    cache: bool,
    console: Console,
    log: Path,
    beam: LocalBeam | ClusterBeam = LOCAL_BEAM,
) -> dict[str, Any]:
    """Run the pipeline, write the report, and say how it ended.

    Args:
      log: where all that the console does not show is written.
    """
    progress = NodeProgress(console)
    progress.begin(f"{config.name} → {workdir}   log: {log}")
    # TFX takes 10 s or more to import, so it is imported when the terminal already says so.
    from pipelines.local_runner import run

    page = workdir / "report.html"
    try:
        run(config, workdir, from_node, cache, progress, beam)
    except KeyboardInterrupt:
        progress.stop()
        raise
    except Exception:
        progress.stop()
        with suppress(Exception):  # it shows what was found up to the failure, which counts for more than a page that fails too
            _refresh_report(workdir, page)
        raise
    seconds = progress.stop()
    _refresh_report(workdir, page)
    return {**outcome(workdir), "seconds": round(seconds, 1), "report": str(page)}


def tuned(config: Path, workdir: Path, output: Path, console: Console) -> dict[str, Any]:
    """Search for what the config's ``tuning`` asks for, and write the config with what was found."""
    settings = load_config(config)
    until = last_tuner(settings, config)
    progress = NodeProgress(console)
    progress.begin(f"{settings.name} → {workdir}   log: {workdir / 'tune.log'}")
    from pipelines.local_runner import run

    try:
        run(settings, workdir, None, True, progress, until=until)
    finally:
        seconds = progress.stop()
    records = found(workdir)
    write_tuned(config, output, records)
    return {"output": str(output), "searches": records, "seconds": round(seconds, 1)}


def benchmarked(name: str, data: Path | None, seeds: int, workdir: Path, console: Console, log: Path) -> list[dict[str, Any]]:
    """Run a benchmark, or all of a group, with each seed, and sum up; what has been run is not run again."""
    from pipelines.benchmarks import GROUPS

    if name not in GROUPS:
        return [_benchmarked(name, data, seeds, workdir, console, log)]
    return [_benchmarked(each, data, seeds, workdir / each, console, log) for each in GROUPS[name]]


def _benchmarked(name: str, data: Path | None, seeds: int, workdir: Path, console: Console, log: Path) -> dict[str, Any]:
    from components.evaluation.library_baselines import check_library  # it imports scipy, which no other command needs at once
    from pipelines.benchmark_baselines import baseline_metrics
    from pipelines.benchmark_truth import true_metrics
    from pipelines.benchmarks import (
        SIMULATED,
        TO_TRUTH,
        benchmark_of,
        figures,
        keep_figures,
        kept_figures,
        of_seeds,
        of_variants,
        prepare,
        summary,
        together,
    )  # fmt: skip

    progress = _lines(console)
    config, benchmark = prepare(name, data, progress), benchmark_of(name)
    if benchmark.baselines:
        check_library()
    found = []
    for seed, settings in of_seeds(config, seeds):
        place = workdir / f"seed-{seed}"
        of_variant = {}
        for variant, each in of_variants(name, settings):
            path = place / "figures" / f"{variant or 'run'}.json"
            kept = kept_figures(path, each)
            if kept is not None:
                day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
                progress(f"seed {seed}{variant and f', {variant}'}: figures kept from {day}; without {path} it is run again")
            else:
                run_and_report(each, place, None, True, console, log)
                kept = figures(name, each, place)
                keep_figures(path, each, kept)
            of_variant[variant] = kept
        others: dict[str, Mapping[str, float]] = {}
        if benchmark.baselines:
            others |= baseline_metrics(settings, place, benchmark.baselines, seed, progress)
        if TO_TRUTH in benchmark.metrics:
            others |= true_metrics(settings, latest_outputs(place), SIMULATED)
        found.append(together(of_variant, others, benchmark.own))
    return summary(name, found)


def refuse_to_overwrite(output: Path, force: bool) -> None:
    """
    Raises:
      ConfigError: the file is there, and it was not said that it may be replaced.
    """
    if output.exists() and not force:
        raise ConfigError(f"{output}: is there already; give another --output, or --force to overwrite it")


def _refresh_report(workdir: Path, page: Path) -> None:
    """Write the page, unless it is of the very same results already."""
    from pipelines.report import write_report

    results, shown = json.dumps(sorted(map(str, latest_outputs(workdir).values()))), workdir / "report.results"
    if page.exists() and shown.exists() and shown.read_text() == results:
        return
    write_report(workdir, page)
    shown.write_text(results)


def outcome(workdir: Path) -> dict[str, Any]:
    """How the last run ended: the release, the reasons if there is none, and the headline metrics."""
    outputs = latest_outputs(workdir)
    release = json.loads((outputs["Pusher", "release"] / "release.json").read_text())
    judged = json.loads((outputs["FunnelEvaluator", "evaluation"] / "evaluation.json").read_text())
    metrics = {system: values["ndcg@10"] for system, values in judged["metrics"].items()}
    return {**release, "query_count": judged["query_count"], "ndcg@10": metrics}


def serving_command(workdir: Path, host: str, port: int, grpc_port: int, rest_port: int, settings: Path | None) -> list[str]:
    """The command line of a gateway and a model server for the releases of ``workdir``.

    Raises:
      ServingError: nothing has been released.
    """
    _current(workdir)
    return [
        sys.executable, "-m", "serving.gateway", f"--workdir={workdir}", f"--host={host}", f"--port={port}",
        f"--grpc_port={grpc_port}", f"--rest_api_port={rest_port}", *([f"--settings={settings}"] if settings else []),
    ]  # fmt: skip


def ablation(workdir: Path, settings: Path | None, split: str, moments: int, console: Console) -> dict[str, Any]:
    """What each part of the served funnel does for the lists of a split."""
    from pipelines.ablation import ablated  # TensorFlow takes seconds to import
    from serving.gateway.settings import GatewaySettings

    if split not in ("eval", "test"):
        raise ConfigError(f"--split: found {split!r}, wanted eval or test")
    gateway = (
        load_settings(settings, GatewaySettings, "a YAML file of the gateway's settings") if settings else GatewaySettings()
    )

    return ablated(workdir, gateway, split, moments, _lines(console))


def asked(workdir: Path, user: str | None, count: int, url: str | None) -> "Answer":
    """A user's recommendations, from the model server at ``url`` or from one that lives as long as the question."""
    from pipelines.ask import ask

    registry, body = Registry(workdir / "releases"), workdir / "query.json"
    if url is not None:
        return ask(registry, url, user, count, body, url)
    with EmbeddedServer(registry.write_models_file(_current(workdir))) as server:
        return ask(registry, server.rest_url, user, count, body, SHOWN_REST_URL)


def asked_both(workdir: Path, count: int, settings: Path) -> "tuple[Answer, dict[str, Any]]":
    """A user's recommendations over TensorFlow Serving's REST API, and the gateway's reply, with ``settings``, for the same."""
    from pipelines.ask import ask

    with EmbeddedGateway(workdir, settings) as gateway:
        answer = ask(Registry(workdir / "releases"), gateway.rest_url, None, count, workdir / "query.json", SHOWN_REST_URL)
        return answer, gateway.recommend({**gateway_request(answer), "count": count})


def gateway_request(answer: "Answer") -> dict[str, Any]:
    """What to ask a gateway to be told of the same user at the same moment."""
    return {"user_id": answer.user_id, "timestamp_ms": answer.timestamp_ms}


def streamed(
    config: PipelineConfig,
    workdir: Path,
    beam: LocalBeam | ClusterBeam,
    once: bool,
    every_s: float,
    listen: str | None,
) -> Iterator[dict[str, Any]]:
    """Count the online log batch by batch, until nothing is left (``once``) or for ever; a summary of each batch.

    SIGTERM ends it as Ctrl-C does: the first process of a container gets no end by default.

    Raises:
      KeyboardInterrupt: it was told to end.
    """
    from pipelines.nearline import MAX_FILES, StreamTier  # Beam takes seconds to import
    from pipelines.nearline_metrics import StreamMetrics

    tier, metrics = StreamTier(config, workdir, beam), StreamMetrics()
    if listen is not None:
        metrics.serve(listen)
    with tier.alone(), _ending_clearly():
        while True:
            pending, started_s = tier.pending(), time.monotonic()
            metrics.waiting(pending)
            manifest = tier.next_batch(pending)
            if manifest is not None:
                seconds = time.monotonic() - started_s
                metrics.committed(manifest, seconds)
                yield {
                    "batch": manifest.batch,
                    "files": len(manifest.files),
                    **{name: getattr(manifest, name) for name in ("event_count", "repeat_count", "late_count", "ahead_count")},
                    "seconds": round(seconds, 3),
                    "delay_s": round(time.time() - manifest.until_ms / 1000, 3),
                }
            elif once:
                return
            if not once and len(pending) <= MAX_FILES:
                time.sleep(every_s)


@contextmanager
def _ending_clearly() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("a batch that was begun is done again by the next start") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _current(workdir: Path) -> int:
    version = Registry(workdir / "releases").current()
    if version is None:
        raise ServingError(f"{workdir}: holds no release yet; `winnow run --workdir {workdir}` makes one")
    return version


def compile_for_kubeflow(config: Path, kubeflow: Path, output: Path, log: Path) -> dict[str, Any]:
    """Write the pipeline as Kubeflow Pipelines takes it, and say what is in it; ``log`` is kept only where that fails.

    Raises:
      ConfigError: the output's name is not one that Kubeflow Pipelines takes, or a setting is wrong.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--output: found {output}, wanted a file .yaml: Kubeflow Pipelines takes no other")
    settings = load_kubeflow(kubeflow)
    pipeline = load_settings(config, PipelineConfig, "a YAML config, as `winnow init` writes")
    with quiet(log):
        from pipelines.kubeflow.compile import compile_pipeline  # TFX takes 10 s or more to import

        text = compile_pipeline(pipeline, settings)
    write_atomically(output, text)
    log.unlink()
    return {
        "output": str(output),
        "pipeline": pipeline.name,
        "nodes": len(nodes_of(pipeline)),
        "image": settings.image,
        "pipeline_root": settings.pipeline_root,
        "releases": settings.releases,
        "sources": settings.sources,
        "parameters": list(RUN_PARAMETERS),
        "sha256": sha256(output),
    }


def _lines(console: Console) -> Callable[[str], None]:
    """Prints a line of progress as it stands."""

    def progress(line: str) -> None:
        console.print(line, markup=False)

    return progress
