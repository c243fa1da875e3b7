"""Results as a person reads them."""

import json
import shlex
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pipelines.ask import Answer

SHOWN_HISTORY, SHOWN_TRIALS = 8, 5
BENCHMARK_WIDTH = 100


def show_outcome(outcome: dict[str, Any]) -> None:
    """The verdict, and the headline metric beside the baselines."""
    console = Console(highlight=False, soft_wrap=True)
    if outcome["pushed"]:
        console.print(f"\nRelease {outcome['version']} is published: {outcome['path']}", style="bold green", markup=False)
    else:
        console.print("\nNothing was published:", style="bold yellow")
        for reason in outcome["reasons"]:
            console.print(f"  - {reason}", markup=False)
    table = Table(
        title=f"NDCG@10 of the next item, whole catalogue, {outcome['query_count']:,} test moments",
        title_justify="left",
    )
    table.add_column("system")
    table.add_column("NDCG@10", justify="right")
    for system, value in outcome["ndcg@10"].items():
        table.add_row(system.replace("_", " "), f"{value:.4f}", style="bold" if system == "funnel" else "")
    console.print(table)
    console.print(f"{outcome['seconds']:.0f} s. Report: {outcome['report']}", markup=False)


def show_batch(batch: dict[str, Any]) -> None:
    """A line for a batch of the stream tier; what was left out is told where there was any."""
    left_out = ", ".join(f"{batch[f'{name}_count']:,} {name}" for name in ("repeat", "late", "ahead") if batch[f"{name}_count"])
    print(
        f"batch {batch['batch']:>5}  {batch['files']:>5,} files  {batch['event_count']:>9,} events"
        f"{f' ({left_out} left out)' if left_out else ''}  {batch['seconds']:.1f} s",
        flush=True,
    )


def show_benchmark(made: dict[str, Any]) -> None:
    """Ours above, what was published below; as wide wherever it is printed."""
    console = Console(highlight=False, width=BENCHMARK_WIDTH)
    runs = f"{made['seeds']} seeds, mean ± standard deviation" if made["seeds"] > 1 else "one seed"
    table = Table(title=f"{made['benchmark']}: {made['protocol']}; {runs}", title_justify="left")
    metrics = list(next(iter(made["systems"].values())))
    table.add_column("system")
    for name in metrics:
        table.add_column(name.replace("_", "\n"), justify="right")
    for system, values in made["systems"].items():
        table.add_row(system.replace("_", " "), *(_figure(metric, made["seeds"], **each) for metric, each in values.items()))
    table.add_section()
    for system, published in made["published"].items():
        table.add_row(f"{system} (published)", *("" if each is None else f"{each:.4f}" for each in published.values()))
    console.print(table)
    if made["source"]:
        console.print(f"Published: {made['source']}.", markup=False)
    console.print(", ".join(f"{node} {seconds / 60:.1f} min" for node, seconds in made["training_s"].items()), markup=False)


def _figure(metric: str, seeds: int, mean: float, sd: float) -> str:
    if metric == "moments":
        return f"{mean:,.0f}"
    return f"{mean:.4f}±{sd:.4f}" if seeds > 1 else f"{mean:.4f}"


def show_ablation(made: dict[str, Any]) -> None:
    """The whole funnel above, below it what becomes of the lists without each of its parts."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(
        title=f"Release {made['release']}, {made['moments']:,} moments of the {made['split']} split, the best 10 of "
        f"{made['candidates']} candidates",
        title_justify="left",
    )
    metrics = ("recall of candidates", "ndcg@10", "coverage@10", "novelty@10", "diversity@10")
    for name in ("funnel", *metrics, "what the part gains in NDCG@10"):
        table.add_column(name, justify="left" if name == "funnel" else "right")
    for system, values in made["systems"].items():
        gain = made["gain"].get(system)
        shown = "" if gain is None else f"{gain['estimate']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
        table.add_row(system, *(f"{values[metric]:.4f}" for metric in metrics), shown)
    console.print(table)


def show_tuned(made: dict[str, Any]) -> None:
    """Of each search the best trials."""
    console = Console(highlight=False, soft_wrap=True)
    for search in made["searches"]:
        trials = search["trials"]
        table = Table(title=f"{search['section']}: the best of {len(trials)} trials", title_justify="left")
        table.add_column(search["metric"], justify="right")
        for key in trials[0]["values"]:
            table.add_column(key)
        for trial in trials[:SHOWN_TRIALS]:
            score = "failed" if trial["score"] is None else f"{trial['score']:.4f}"
            table.add_row(
                score, *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in trial["values"].values())
            )
        console.print(table)
    console.print(f"{made['seconds']:.0f} s. Next: winnow run --config {made['output']}", markup=False)


def show_compiled(made: dict[str, Any]) -> None:
    """What was compiled, where its things will lie, and what to do with it."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{made['output']}: the pipeline {made['pipeline']}, {made['nodes']} nodes and an exit handler", style="bold")
    for name in ("image", "pipeline_root", "releases", "sources"):
        console.print(f"  {name.replace('_', ' '):<14} {made[name]}", markup=False)
    console.print(f"  each run may set {', '.join(made['parameters'])}", markup=False)
    console.print(f"  SHA-256        {made['sha256']}", markup=False)
    console.print("Next: `winnow submit` runs it, or upload the file on Kubeflow Pipelines' page.", markup=False)


def show_answer(answer: "Answer", console: Console) -> None:
    """History above, recommendations below, and the line that asks the same."""
    past = Table(title=f"User {answer.user_id}, most recent first", title_justify="left")
    past.add_column("item", justify="right")
    past.add_column("title")
    for item in answer.history[:SHOWN_HISTORY]:
        past.add_row(item.item_id, item.title)
    future = Table(title=f"Recommended by release {answer.release}, over TensorFlow Serving's REST API", title_justify="left")
    for name in ("rank", "item", "title", "score"):
        future.add_column(name, justify="left" if name == "title" else "right")
    for rank, item in enumerate(answer.recommended, start=1):
        future.add_row(str(rank), item.item_id, item.title, f"{item.score:.3f}")
    console.print()
    console.print(past)
    console.print(future)
    console.print(f"\nThe same with curl, while `winnow serve` runs:\n  {answer.curl}", markup=False, soft_wrap=True)


def show_reply(reply: dict[str, Any], curl: str, console: Console) -> None:
    """The gateway's list, what found and what moved each item, what the request took, and the line that asks the same."""
    table = Table(title=f"Recommended by the gateway, release {reply['release']}", title_justify="left")
    for name in ("rank", "item", "title", "score", "found by"):
        table.add_column(name, justify="left" if name in ("title", "found by") else "right")
    for item in reply["items"]:
        score = "" if item["score"] is None else f"{item['score']:.3f}"
        table.add_row(str(item["rank"]), item["item_id"], item["title"], score, ", ".join(item["sources"]))
    console.print()
    console.print(table)
    for item in reply["items"]:
        for change in item["rerank"]:
            moved = f"{change['from_rank']} → {change['to_rank']}" if change["from_rank"] != change["to_rank"] else "score"
            console.print(f"  {item['title']}: {change['step']}, {moved}: {change['reason']}", markup=False, soft_wrap=True)
    took = ", ".join(f"{stage} {milliseconds:.1f}" for stage, milliseconds in reply["timings_ms"].items())
    console.print(f"ms: {took}", markup=False, soft_wrap=True)
    for fallback in reply["fallbacks"]:
        console.print(f"fallback: {fallback}", markup=False, style="yellow")
    console.print(f"\nThe same with curl, while `winnow serve` runs:\n  {curl}", markup=False, soft_wrap=True)


def recommend_curl(gateway_url: str, request: dict[str, Any]) -> str:
    """The command line that asks a gateway."""
    return f"curl -s {gateway_url}/v1/recommend -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(request))}"
