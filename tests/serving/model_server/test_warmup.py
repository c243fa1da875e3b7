"""Recorded requests of every kind, run on a servable that only counts them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.model_server.metrics import Metrics
from serving.model_server.signature import Signature, TensorSlot
from serving.model_server.status import StatusError

CLASSIFY = "tensorflow/serving/classify"
STRING, FLOAT = 7, 1


class Recorder:
    """Gives a number for each row, and knows what it was asked for."""

    def __init__(self) -> None:
        signatures = {
            "serving_default": ({"x": TensorSlot("x:0", FLOAT)}, {"y": TensorSlot("y:0", FLOAT)}),
            "classify": ({"inputs": TensorSlot("e:0", STRING)}, {"scores": TensorSlot("scores:0", FLOAT)}),
            "regress": ({"inputs": TensorSlot("e:0", STRING)}, {"outputs": TensorSlot("outputs:0", FLOAT)}),
        }
        self.signatures = {name: Signature(name, *slots, {}, None) for name, slots in signatures.items()}
        self.signature_defs: Mapping[str, Any] = {}
        self.fetched: list[tuple[str, ...]] = []

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], timeout_s: float | None = None) -> list[np.ndarray]:
        self.fetched.append(tuple(fetches))
        [rows] = map(len, feeds.values())
        return [np.zeros((rows, 1), np.float32) for _ in fetches]

    def close(self) -> None:
        pass


@pytest.fixture
def record(saved_models: Any, tmp_path: Path) -> Callable[..., None]:
    """Writes PredictionLogs, or raw records, into the warm-up file of the version in ``tmp_path``."""
    import tensorflow as tf

    def write(*records: Any) -> None:
        (tmp_path / "assets.extra").mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(tmp_path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
            for entry in records:
                writer.write(entry if isinstance(entry, bytes) else entry.SerializeToString())

    return write


@pytest.fixture
def logs(saved_models: Any) -> dict[str, Any]:
    """A PredictionLog of each kind, by the kind's name."""
    from tensorflow_serving.apis import prediction_log_pb2

    made = {kind: prediction_log_pb2.PredictionLog() for kind in ("predict", "classify", "regress", "multi", "session", "none")}
    x = made["predict"].predict_log.request.inputs["x"]
    x.dtype = FLOAT
    x.tensor_shape.dim.add().size = 1
    for kind in ("classify", "regress"):
        request = getattr(made[kind], f"{kind}_log").request
        request.model_spec.signature_name = kind
        request.input.example_list.examples.add()
    multi = made["multi"].multi_inference_log.request
    task = multi.tasks.add(method_name=CLASSIFY)
    task.model_spec.name, task.model_spec.signature_name = "m", "classify"
    multi.input.example_list.examples.add()
    made["session"].session_run_log.SetInParent()
    return made


def warm_up(folder: Path, iterations: int = 1) -> tuple[Recorder, Metrics]:
    from serving.model_server.warmup import warm_up as run

    recorder, metrics = Recorder(), Metrics()
    run(recorder, folder, metrics, iterations)
    return recorder, metrics


def refusal(folder: Path) -> tuple[str, str]:
    with pytest.raises(StatusError) as caught:
        warm_up(folder)
    return caught.value.code.name, caught.value.message


def test_every_kind_of_request(tmp_path: Path, record: Any, logs: Any) -> None:
    record(logs["predict"], logs["classify"], logs["regress"], logs["multi"], logs["none"])
    recorder, metrics = warm_up(tmp_path)
    assert recorder.fetched == [("y:0",), ("scores:0",), ("outputs:0",), ("scores:0",)]
    assert sum(metrics.warmup_latency.cells()[(str(tmp_path), "OK")].counts) == 1


def test_each_may_be_run_again_and_again(tmp_path: Path, record: Any, logs: Any) -> None:
    record(logs["predict"], logs["classify"])
    assert warm_up(tmp_path, 3)[0].fetched == [("y:0",)] * 3 + [("scores:0",)] * 3


def test_without_a_file_there_is_nothing_to_do(saved_models: Any, tmp_path: Path) -> None:
    assert warm_up(tmp_path)[0].fetched == []


def test_a_kind_that_cannot_be_run(tmp_path: Path, record: Any, logs: Any) -> None:
    record(logs["session"])
    assert refusal(tmp_path) == ("UNIMPLEMENTED", "Unsupported log_type for warmup: 5")


def test_a_request_that_fails(tmp_path: Path, record: Any, logs: Any) -> None:
    logs["classify"].classify_log.request.model_spec.signature_name = "s"
    record(logs["classify"])
    assert refusal(tmp_path) == ("INVALID_ARGUMENT", "No signature was found with the name: s")


def test_too_many_records(tmp_path: Path, record: Any, logs: Any) -> None:
    record(*[logs["none"]] * 1001)
    code, message = refusal(tmp_path)
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("Number of warmup records exceeds the maximum (1000) at ")


def test_files_of_something_else(tmp_path: Path, record: Any) -> None:
    record(b"\xff")
    code, message = refusal(tmp_path)
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("Failed to parse warmup record: ")
    (tmp_path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no records, but enough bytes for one")
    code, message = refusal(tmp_path)
    assert code == "DATA_LOSS"
    assert message.endswith(". Please verify your warmup data is in TFRecord format.")
