"""How a run goes on, as Kubeflow Pipelines tells it: in Argo's nodes; one of ours is a driver, a graph and an executor."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import kfp_server_api

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # the time of what has not happened
NODE_SECONDS = 7


def nodes_of(kept: dict[str, Any], component: dict[str, Any] | None = None) -> Iterator[str]:
    """In the order in which they can run."""
    spec = kept.get("pipeline_spec", kept)
    tasks = dict((component or spec["root"])["dag"]["tasks"])
    done: set[str] = set()
    while tasks:
        name = next(name for name, task in sorted(tasks.items()) if done.issuperset(task.get("dependentTasks", [])))
        inner = spec["components"][tasks.pop(name)["componentRef"]["name"]]
        done.add(name)
        if "dag" in inner:
            yield from nodes_of(kept, inner)
        else:
            yield name


def advance(
    run: kfp_server_api.V2beta1Run, nodes: list[str], step: int, now: datetime, fails: str | None, driver_fails: str | None
) -> None:
    """The run as it stands after ``step`` nodes have ended, as Argo's nodes tell it."""
    bad = next((index for index, name in enumerate(nodes) if name in (fails, driver_fails)), None)
    ended = bad is not None and step > bad
    run.state = "FAILED" if ended else "SUCCEEDED" if step >= len(nodes) else "RUNNING"
    tasks = [_task(run, "root-driver", "SUCCEEDED", now), _task(run, "root", run.state, now)]
    for index, name in enumerate(nodes):
        driver = node = "SUCCEEDED"
        if index == bad and ended:
            driver, node = ("FAILED", "SKIPPED") if name == driver_fails else ("SUCCEEDED", "FAILED")
        elif ended and bad is not None and index > bad:
            tasks.append(_task(run, name, "SKIPPED", now))  # Argo calls it Omitted, and has no driver of it
            continue
        elif index == step:
            node = "RUNNING"
        elif index > step:
            break
        executor = _task(run, "executor", node, now)
        tasks += [_task(run, f"{name}-driver", driver, now), _task(run, name, node, now, executor), executor]
    run.run_details = kfp_server_api.V2beta1RunDetails(task_details=tasks)
    if run.state != "RUNNING":
        run.finished_at = now
    if run.state == "FAILED":
        run.error = kfp_server_api.GoogleRpcStatus(code=2, message="child 'pod' failed")


def _task(run: Any, name: str, state: str, now: datetime, child: Any = None) -> kfp_server_api.V2beta1PipelineTaskDetail:
    began = state in ("SUCCEEDED", "FAILED", "RUNNING")
    children = [kfp_server_api.PipelineTaskDetailChildTask(pod_name=f"pod-{child.task_id}")] if child else None
    return kfp_server_api.V2beta1PipelineTaskDetail(
        run_id=run.run_id,
        task_id=str(uuid.uuid4()),
        display_name=name,
        state=state,
        create_time=run.created_at,
        start_time=now if began else EPOCH,
        end_time=now + timedelta(seconds=NODE_SECONDS) if state in ("SUCCEEDED", "FAILED") else EPOCH,
        execution_id="0",
        child_tasks=children,
    )
