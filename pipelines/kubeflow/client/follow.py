"""Follow a run on the cluster until it ends: what its nodes are doing, and how it ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.errors import ClusterError, RunFailedError
from pipelines.kubeflow.client.installation import KubeflowPipelines

SUCCEEDED, FAILED, SKIPPED, CANCELED = "SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"
ENDED = frozenset({SUCCEEDED, FAILED, SKIPPED, CANCELED})  # kfp's own wait knows no CANCELED, and would never end
POLL_S, PATIENCE_S = 5.0, 300.0


@dataclass(frozen=True)
class Node:
    """What one node is doing; ``state`` as Kubeflow Pipelines names it, ``seconds`` only of a node that has ended."""

    name: str
    state: str
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a run stands. ``error`` is what Kubeflow Pipelines says of the run as a whole."""

    state: str
    nodes: tuple[Node, ...]
    error: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def follow(
    cluster: KubeflowPipelines,
    run_id: str,
    nodes: tuple[str, ...],
    seen: Callable[[Outcome], None],
    poll_s: float = POLL_S,
    patience_s: float = PATIENCE_S,
) -> Outcome:
    """Ask until the run has ended, and tell ``seen`` of each answer.

    Args:
      nodes: the names of those to tell of.
      patience_s: for how long an installation may give no answer, as while it is upgraded.

    Raises:
      ClusterError: it gave none for longer; the run may go on. RunFailedError: the run has been deleted.
    """
    answered = time.monotonic()
    while True:
        try:
            outcome = outcome_of(cluster.run(run_id), nodes)
            answered = time.monotonic()
        except ClusterError as error:
            if time.monotonic() - answered + poll_s > patience_s:
                link = cluster.run_link(run_id)
                raise ClusterError(f"{error}\nThe run was lost sight of and may well go on: {link}") from error
        else:
            seen(outcome)
            if outcome.ended:
                return outcome
        time.sleep(poll_s)


def require_success(outcome: Outcome, name: str, link: str) -> None:
    """Raises:
    RunFailedError: the run ended otherwise; names the nodes that failed.
    """
    if outcome.state == SUCCEEDED:
        return
    failed = [
        f"node {node.name} failed{f' ({node.error})' if node.error else ''}" for node in outcome.nodes if node.state == FAILED
    ]
    why = "; ".join(failed) or outcome.error or "it is not said why"
    ended = {FAILED: "failed", CANCELED: "was cancelled"}.get(outcome.state, f"ended as {outcome.state}")
    raise RunFailedError(f"run {name!r} {ended}: {why}. Its logs: {link}")


def outcome_of(run: Any, names: tuple[str, ...]) -> Outcome:
    """How a run stands, from the API's answer.

    Argo reports more than our nodes: the graph itself, and of each node a driver before it and an executor within. The node is
    what bears its name, and fails with its driver, which leaves the node itself skipped.
    """
    details = (run.run_details.task_details if run.run_details else None) or []
    by_name = {detail.display_name: detail for detail in details}
    return Outcome(
        state=run.state or "PENDING",
        nodes=tuple(_node(name, by_name.get(name), by_name.get(f"{name}-driver")) for name in names),
        error=run.error.message or "" if run.error else "",
    )


def _node(name: str, detail: Any, driver: Any) -> Node:
    if driver is not None and driver.state == FAILED:
        return Node(name, FAILED, _seconds(driver), _error(driver) or "before it began: its driver failed")
    if detail is None:
        return Node(name, "RUNNING" if driver is not None else "PENDING")
    return Node(name, detail.state or "PENDING", _seconds(detail) if detail.state in ENDED else None, _error(detail))


def _seconds(detail: Any) -> float | None:
    start: datetime | None = detail.start_time
    end: datetime | None = detail.end_time
    return (end - start).total_seconds() if start and end and end >= start and start.year > 1970 else None


def _error(detail: Any) -> str:
    return detail.error.message or "" if detail.error else ""
