"""The client against a real embedded server, and against nothing at all."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest

from components.errors import ServingError
from serving.inference import InferenceError, ModelClient, VersionStatus
from serving.model_server.process import EmbeddedServer

ROOT = Path(__file__).parents[2]
X = {"x": np.array([1.0, 2.0], np.float32)}


def test_arrays_go_in_and_come_out(client: ModelClient) -> None:
    inputs = {
        "item": np.array(["a", "b"]),
        "history": np.array([[b"a", b"c"], [b"c", b"c"]], object),
        "age": np.array([10, 20]),
        "weight": np.array([2, 3], np.float32),
    }
    outputs = client.predict("features", inputs)
    assert outputs["index"].dtype == np.int64
    assert outputs["index"].tolist() == [0, 1]
    assert outputs["score"].dtype == np.float32
    assert outputs["score"].tolist() == [12.0, 26.0]  # mean index * weight + age
    assert outputs["label"].tolist() == [b"item a", b"item b"]


@pytest.mark.parametrize(
    "value",
    [
        np.array([True, False]),
        np.array([[-1, 2]], np.int8),
        np.array([-(2**15)], np.int16),
        np.array(-5, np.int32),
        np.array([2**62]),
        np.array([255], np.uint8),
        np.array([65535], np.uint16),
        np.array([2**32 - 1], np.uint32),
        np.array([2**64 - 1], np.uint64),
        np.array([0.1, np.inf], np.float16),
        np.array([0.1, -np.inf], np.float32),
        np.zeros((2, 0, 3), np.float64),
        np.array([1 + 2j], np.complex64),
        np.array([[1 - 2j]], np.complex128),
        np.array([[b"", b"\xff\x00"]], object),
        np.array(b"scalar", object),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}",
)
def test_every_type_comes_back_as_it_went(client: ModelClient, value: np.ndarray) -> None:
    name = "string" if value.dtype == object else value.dtype.name.replace("float16", "half")
    out = client.predict("kinds", {"value": value}, signature=name)["out"]
    assert (out.dtype, out.shape) == (value.dtype, value.shape)
    np.testing.assert_array_equal(out, value)


def test_signature_version_and_outputs_are_chosen(client: ModelClient) -> None:
    assert client.predict("affine", X)["y"].tolist() == [3.0, 5.0]
    assert client.predict("affine", X, version=1)["y"].tolist() == [2.0, 3.0]
    assert client.predict("affine", X, signature="twice", outputs=["b"]).keys() == {"b"}


def test_status(client: ModelClient) -> None:
    assert client.status("affine") == [
        VersionStatus(2, "AVAILABLE", grpc.StatusCode.OK, ""),
        VersionStatus(1, "AVAILABLE", grpc.StatusCode.OK, ""),
    ]
    client.wait_until_available("affine", 1)
    client.wait_until_available("affine")


def test_a_refusal_says_which_model_where_and_why(client: ModelClient) -> None:
    with pytest.raises(ServingError) as caught:
        client.predict("absent", X)
    assert str(caught.value) == (
        f"model absent at {client.target}: NOT_FOUND: Servable not found for request: Latest(absent) "
        "(ask for the model's status to see which versions are served)"
    )
    with pytest.raises(InferenceError) as refused:
        client.predict("affine", {"x": np.array(["a"])})
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details == 'input "x" expects float but string is provided'


def test_an_array_that_is_no_tensor_is_not_sent(client: ModelClient) -> None:
    with pytest.raises(InferenceError, match="input x: an array of dtype datetime64"):
        client.predict("affine", {"x": np.array(["2026-01-01"], "datetime64[D]")})
    with pytest.raises(InferenceError, match="input x: a string tensor holds a NoneType"):
        client.predict("affine", {"x": np.array([None])})


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else takes it
        target = f"127.0.0.1:{unused.getsockname()[1]}"
        with ModelClient(target) as client:
            with pytest.raises(InferenceError, match=r"UNAVAILABLE: .*is the server running") as caught:
                client.predict("affine", X)
            assert caught.value.code is grpc.StatusCode.UNAVAILABLE
            with pytest.raises(InferenceError, match=r"a version was not available within 0\.2 s; last seen: ") as late:
                client.wait_until_available("affine", timeout_s=0.2)
            assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_version_that_never_comes(client: ModelClient) -> None:
    expected = "version 9 was not available within 0.2 s; last seen: version 2 is AVAILABLE, version 1 is AVAILABLE"
    with pytest.raises(InferenceError, match=expected):
        client.wait_until_available("affine", 9, timeout_s=0.2)


def test_the_client_needs_no_tensorflow(server: EmbeddedServer) -> None:
    program = (
        "import sys, numpy; from serving.inference import ModelClient\n"
        "print(ModelClient(sys.argv[1]).predict('affine', {'x': numpy.ones(1, numpy.float32)})['y'][0])\n"
        "print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program, server.grpc_target]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["3.0", "False"]
