"""Queues, batches and what they make of requests, with a servable that is only a function."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import ServingError
from serving.model_server.batch_merge import batch_size, merge, split
from serving.model_server.batch_scheduler import BatchScheduler
from serving.model_server.batching import Batcher, BatchingServable, BatchTask
from serving.model_server.batching_parameters import BatchingParameters, read_batching_parameters
from serving.model_server.metrics import Metrics
from serving.model_server.signature import Signature, TensorSlot
from serving.model_server.status import StatusError

FOREVER_US = 3_600_000_000


class Doubler:
    """Doubles x, and knows the shapes that it was given. It waits for ``gate`` before each run."""

    def __init__(self) -> None:
        slots = {"x": TensorSlot("x:0", 1)}, {"y": TensorSlot("y:0", 1)}
        self.signatures = {"serving_default": Signature("serving_default", *slots, {}, None)}
        self.signature_defs: Mapping[str, Any] = {}
        self.shapes: list[tuple[int, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.is_closed = False

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], timeout_s: float | None = None) -> list[np.ndarray]:
        self.started.set()
        assert self.gate.wait(60)
        self.shapes.append(feeds["x:0"].shape)
        return [feeds["x:0"] * 2 for _ in fetches]

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def batched() -> Iterator[Callable[..., tuple[BatchingServable, Doubler, Metrics]]]:
    """Makes a doubler behind queues of one thread, with the given parameters."""
    schedulers = []

    def make(**parameters: Any) -> tuple[BatchingServable, Doubler, Metrics]:
        scheduler: BatchScheduler[BatchTask] = BatchScheduler(1, "pool")
        schedulers.append(scheduler)
        doubler, metrics = Doubler(), Metrics()
        return BatchingServable(doubler, BatchingParameters(**parameters), scheduler, metrics), doubler, metrics

    yield make
    for scheduler in schedulers:
        scheduler.close()


def ask(servable: BatchingServable, *values: float, timeout_s: float | None = None) -> list[float]:
    [y] = servable.run({"x:0": np.array(values, np.float32)}, ["y:0"], timeout_s)
    return y.tolist()


def refusal(call: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(StatusError) as caught:
        call(*arguments, **options)
    return caught.value.code.name, caught.value.message


def test_a_full_batch_goes(batched: Any) -> None:
    servable, doubler, metrics = batched(max_batch_size=4, batch_timeout_us=FOREVER_US)
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(lambda values: ask(servable, *values), [(1,), (2, 3), (4,)])
        assert list(answers) == [[2], [4, 6], [8]]
    assert doubler.shapes == [(4,)]
    assert metrics.wrapped_run_count.cells() == {(): 1}
    assert metrics.queuing_latency.cells()[("batch_threads",)].counts
    assert metrics.input_batch_size.cells()[()].sum == 4
    assert metrics.processed_batch_size.cells()[()].sum == 4


def test_a_lone_request_goes_when_its_time_is_up(batched: Any) -> None:
    servable, doubler, _ = batched(max_batch_size=4, batch_timeout_us=1)
    assert ask(servable, 1) == [2]
    assert doubler.shapes == [(1,)]


def test_a_batch_is_filled_up_to_an_allowed_size(batched: Any) -> None:
    servable, doubler, metrics = batched(max_batch_size=8, allowed_batch_sizes=(2, 4, 8))
    assert ask(servable, 1, 2, 3) == [2, 4, 6]
    assert ask(servable, 7) == [14]
    assert doubler.shapes == [(4,), (2,)]
    assert metrics.padding_size.cells()[("4",)].sum == 1


def test_what_waits_while_a_batch_runs_goes_together(batched: Any, eventually: Any) -> None:
    servable, doubler, metrics = batched(max_batch_size=2, max_enqueued_batches=2)
    doubler.gate.clear()

    def enqueued() -> float:
        return sum(histogram.sum for histogram in metrics.input_batch_size.cells().values())

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, servable, 1)
        assert doubler.started.wait(60)
        others = [pool.submit(ask, servable, value) for value in (2, 3)]
        eventually(lambda: enqueued() == 3, "requests in line")
        last = pool.submit(ask, servable, 4, 5)
        eventually(lambda: enqueued() == 5, "one more in line")
        assert refusal(ask, servable, 6) == (
            "UNAVAILABLE",
            "The batch scheduling queue to which this task was submitted is full; "
            "currently 2 batches enqueued and max_enqueued_batches is 2",
        )
        doubler.gate.set()
        assert [first.result(), *(other.result() for other in others), last.result()] == [[2], [4], [6], [8, 10]]
    assert doubler.shapes == [(1,), (2,), (2,)]


def test_a_request_bigger_than_any_batch(batched: Any) -> None:
    servable, _, _ = batched(max_batch_size=2)
    assert refusal(ask, servable, 1, 2, 3) == (
        "INVALID_ARGUMENT",
        "Task size 3 is larger than maximum input batch size 2",
    )


def test_a_big_request_is_split_where_that_is_allowed(batched: Any) -> None:
    servable, doubler, _ = batched(max_batch_size=10, max_execution_batch_size=2, max_enqueued_batches=4)
    assert ask(servable, 1, 2, 3, 4, 5) == [2, 4, 6, 8, 10]
    assert sorted(doubler.shapes) == [(1,), (2,), (2,)]
    assert refusal(ask, servable, *range(9)) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; task size is 9 but scheduling capacity is "
        "only 8 (num_enqueued_batches=1, max_enqueued_batches=4, open_batch_size=0, max_execution_batch_size=2)",
    )


def test_a_request_that_waited_too_long(batched: Any) -> None:
    servable, doubler, _ = batched()
    assert refusal(ask, servable, 1, timeout_s=0.0) == (
        "RESOURCE_EXHAUSTED",
        "Run() timeout exceeded while waiting in batching queue",
    )
    assert doubler.shapes == []


def test_an_error_reaches_every_request_of_the_batch(batched: Any) -> None:
    servable, doubler, _ = batched(max_batch_size=2, batch_timeout_us=FOREVER_US)

    def fail(*_: Any) -> Any:
        raise ValueError("broken")

    doubler.run = fail
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(refusal, ask, servable, value) for value in (1, 2)]
        assert [request.result() for request in asked] == [("INTERNAL", "ValueError: broken")] * 2


def test_a_run_that_is_no_signature_goes_straight_through(batched: Any) -> None:
    servable, doubler, metrics = batched(max_batch_size=4, batch_timeout_us=FOREVER_US)
    assert len(servable.run({"x:0": np.ones(1, np.float32)}, ["y:0", "z:0"])) == 2
    assert metrics.wrapped_run_count.cells() == {}
    servable.close()
    assert doubler.is_closed


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"a": np.float32(1)}, "Batching Run() input tensors must have at least one dimension"),
        ({"a": np.ones(2), "b": np.ones((3, 2))}, "Batching Run() input tensors must have equal 0th-dimension size"),
    ],
)
def test_inputs_that_are_no_rows(feeds: Any, message: str) -> None:
    assert refusal(batch_size, feeds) == ("INVALID_ARGUMENT", message)


def test_rows_of_different_widths_are_padded_with_their_first_value() -> None:
    parameters = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(4,), pad_variable_length_inputs=True)
    merged = merge([{"a": np.array([[1, 2, 3]])}, {"a": np.array([[7], [8]])}], 3, parameters)
    # The last row fills the batch up: the first of the last request.
    assert merged["a"].tolist() == [[1, 2, 3], [7, 7, 7], [8, 7, 7], [7, 7, 7]]
    strings = np.array([[b"a"]], object)
    assert merge(
        [{"a": strings}, {"a": np.array([[b"b", b"c"]], object)}], 2, BatchingParameters(pad_variable_length_inputs=True)
    )["a"].tolist() == [[b"a", b"a"], [b"b", b"c"]]


@pytest.mark.parametrize(
    ("arrays", "is_padded", "code", "message"),
    [
        (
            [np.ones((1, 2)), np.ones((1, 3))],
            False,
            "FAILED_PRECONDITION",
            "Tensors with name 'a' from different tasks have different shapes and padding is turned off. "
            "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim.",
        ),
        (
            [np.ones((1, 2)), np.ones((1, 0))],
            True,
            "INVALID_ARGUMENT",
            "Got empty tensor in batch of non-empty tensors.",
        ),
        (
            [np.ones((1,) * 7), np.ones((1,) * 6 + (2,))],
            True,
            "INVALID_ARGUMENT",
            "Only tensors with rank from 1 to 6 can be padded.",
        ),
        (
            [np.ones((1, 2)), np.ones(1)],
            True,
            "INVALID_ARGUMENT",
            "Only tensors of one rank can be padded to one shape.",
        ),
    ],
)
def test_rows_that_do_not_go_together(arrays: list[np.ndarray], is_padded: bool, code: str, message: str) -> None:
    parameters = BatchingParameters(pad_variable_length_inputs=is_padded)
    assert refusal(merge, [{"a": array} for array in arrays], 2, parameters) == (code, message)


def test_outputs_are_taken_apart() -> None:
    [[first], [second]] = split([np.array([1, 2, 3, 9])], [1, 2], 4)
    assert (first.tolist(), second.tolist()) == ([1], [2, 3])
    assert refusal(split, [np.float32(1)], [1], 1) == (
        "FAILED_PRECONDITION",
        "Batched output tensor has 0 dimensions",
    )
    assert refusal(split, [np.ones(2)], [1], 1) == (
        "FAILED_PRECONDITION",
        "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
    )


def test_parameters_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "batching.config"
    path.write_text(
        "max_batch_size { value: 128 } batch_timeout_micros { value: 0 } max_enqueued_batches { value: 7 } "
        'num_batch_threads { value: 3 } thread_pool_name { value: "pool" } allowed_batch_sizes: 8 '
        "allowed_batch_sizes: 32 pad_variable_length_inputs: true enable_large_batch_splitting { value: true } "
        "max_execution_batch_size { value: 32 }"
    )
    assert read_batching_parameters(path) == BatchingParameters(128, 0, 7, 3, "pool", (8, 32), True, 32)
    path.write_text("")
    assert read_batching_parameters(path) == BatchingParameters()
    path.write_text("max_batch_size: 128")
    with pytest.raises(ServingError, match="is not a BatchingParameters in text form: 1:"):
        read_batching_parameters(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be positive; was -1"),
        ("max_enqueued_batches { value: -1 }", "max_enqueued_batches must be non-negative; was -1"),
        (
            "max_batch_size { value: 32 } allowed_batch_sizes: 8",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 8; expected 32",
        ),
        (
            "max_batch_size { value: 32 } allowed_batch_sizes: 32 enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 16 }",
            "Last entry in allowed_batch_sizes must be equal to max_execution_batch_size; last entry was 32; expected 16",
        ),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 16 allowed_batch_sizes: 8",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        (
            "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } max_execution_batch_size { value: 9 }",
            "max_execution_batch_size must be from 1 to max_batch_size (8); was 9",
        ),
    ],
)
def test_parameters_that_do_not_go_together(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "batching.config"
    path.write_text(text)
    assert refusal(read_batching_parameters, path) == ("INVALID_ARGUMENT", message)


def test_a_version_may_bring_its_own_parameters(tmp_path: Path) -> None:
    batcher = Batcher(BatchingParameters(num_batch_threads=1), Metrics(), is_per_model=True)
    try:
        doubler = Doubler()
        assert batcher.wrap(doubler, tmp_path) is doubler
        (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
        wrapped = batcher.wrap(doubler, tmp_path)
        assert isinstance(wrapped, BatchingServable)
        assert refusal(ask, wrapped, 1, 2, 3)[1] == "Task size 3 is larger than maximum input batch size 2"
        (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 0 }")
        assert refusal(batcher.wrap, doubler, tmp_path) == ("INVALID_ARGUMENT", "max_batch_size must be positive; was 0")
    finally:
        batcher.close()
