"""A real server process that batches: requests that come together are run together."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from serving.inference import InferenceError, ModelClient
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer

Publish = Callable[[Path, Path, int], Path]


def test_requests_of_both_doors_are_run_together(saved_models: Path, tmp_path: Path, publish: Publish) -> None:
    publish(saved_models / "rows", tmp_path / "rows", 1)
    parameters = tmp_path / "batching.config"
    # A batch goes when it is full, and never before: the hour is longer than the test may take.
    parameters.write_text(
        "max_batch_size { value: 4 } batch_timeout_micros { value: 3600000000 } pad_variable_length_inputs: true"
    )
    flags = ["--enable_batching", f"--batching_parameters_file={parameters}"]
    with (
        EmbeddedServer([ModelConfig("rows", tmp_path / "rows")], flags=flags) as server,
        ModelClient(server.grpc_target, timeout_s=60) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def ask_grpc(x: list[list[float]]) -> dict[str, Any]:
            outputs = client.predict("rows", {"x": np.array(x, np.float32)})
            return {name: array.tolist() for name, array in outputs.items()}

        def ask_rest(x: list[list[float]]) -> dict[str, Any]:
            url = server.rest_url + "/v1/models/rows:predict"
            return httpx.post(url, content=json.dumps({"inputs": x}), timeout=60).json()["outputs"]

        asked = [
            pool.submit(ask_grpc, [[1.0, 2.0, 3.0]]),
            pool.submit(ask_rest, [[5.0], [7.0]]),
            pool.submit(ask_grpc, [[1.0, 1.0]]),
        ]
        answers = [request.result() for request in asked]
        # Four rows together, each as wide as the widest, with the first value of its request in what was missing.
        assert answers == [
            {"rows": [4], "columns": [3], "sum": [6.0]},
            {"rows": [4, 4], "columns": [3, 3], "sum": [15.0, 17.0]},
            {"rows": [4], "columns": [3], "sum": [3.0]},
        ]
        # A request for some outputs only is not batched, and so does not wait.
        outputs = client.predict("rows", {"x": np.ones((1, 2), np.float32)}, outputs=["rows"])
        assert outputs["rows"].tolist() == [1]
        with pytest.raises(InferenceError, match="Batching Run\\(\\) input tensors must have at least one dimension"):
            client.predict("rows", {"x": np.float32(1)})
        reply = httpx.post(server.rest_url + "/v1/models/rows:predict", content='{"inputs": [[1], [1], [1], [1], [1]]}')
        assert (reply.status_code, reply.json()) == (
            400,
            {"error": "Task size 5 is larger than maximum input batch size 4"},
        )
        # An output that is not made of rows cannot be shared out.
        with pytest.raises(InferenceError, match="Batched output tensor has 0 dimensions") as refused:
            client.predict("rows", {"x": np.ones((4, 1), np.float32)}, signature="total")
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_a_full_queue_refuses(saved_models: Path, tmp_path: Path, publish: Publish, eventually: Any) -> None:
    folder = publish(saved_models / "gated", tmp_path / "gated", 1)
    (folder / "batching_params.pbtxt").write_text("max_batch_size { value: 1 } max_enqueued_batches { value: 1 }")
    publish(saved_models / "scalar", tmp_path / "scalar", 1)
    parameters, monitoring = tmp_path / "batching.config", tmp_path / "monitoring.config"
    parameters.write_text("num_batch_threads { value: 1 } max_batch_size { value: 1000 }")
    monitoring.write_text("prometheus_config { enable: true }")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    models = [ModelConfig(name, tmp_path / name) for name in ("gated", "scalar")]
    flags = [
        *("--enable_batching=true", f"--batching_parameters_file={parameters}"),
        *("--enable_per_model_batching_parameters", f"--monitoring_config_file={monitoring}"),
    ]
    with (
        EmbeddedServer(models, flags=flags) as server,
        ModelClient(server.grpc_target, timeout_s=60) as client,
        ThreadPoolExecutor(2) as pool,
    ):

        def is_counted(name: str, count: int) -> bool:
            page = httpx.get(server.rest_url + "/monitoring/prometheus/metrics").text
            return f":tensorflow:serving:batching_session:{name} {count}\n" in page

        def ask(path: str) -> float:
            inputs = {"x": np.array([5.0], np.float32), "gate": np.array([path])}
            return float(client.predict("gated", inputs)["y"][0])

        first = pool.submit(ask, str(gate))
        taken = 'queuing_latency_count{thread_pool_name="batch_threads"}'
        eventually(lambda: is_counted(taken, 1), "request with the one thread")
        second = pool.submit(ask, "")
        eventually(lambda: is_counted("input_batch_size_count{}", 2), "request in line")
        full = (
            "The batch scheduling queue to which this task was submitted is full; "
            "currently 1 batches enqueued and max_enqueued_batches is 1"
        )
        with pytest.raises(InferenceError) as refused:
            ask("")
        assert (refused.value.code, refused.value.details) == (grpc.StatusCode.UNAVAILABLE, full)
        body = json.dumps({"inputs": {"x": [1.0], "gate": [""]}})
        reply = httpx.post(server.rest_url + "/v1/models/gated:predict", content=body)
        assert (reply.status_code, reply.json()) == (503, {"error": full})
        # A version without parameters of its own is not batched: its output is not made of rows.
        assert client.predict("scalar", {"x": np.ones(3, np.float32)})["total"] == 3.0
        assert gate.read_bytes() == b"through"
        assert [first.result(), second.result()] == [5.0, 5.0]
