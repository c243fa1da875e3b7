"""Versions that come and go while a real server answers requests."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serving.inference import InferenceError, ModelClient, VersionStatus
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer

Publish = Callable[[Path, Path, int], Path]
POLL_INTERVAL_S = 0.05
ONE = {"x": np.array([1.0], np.float32)}


@pytest.fixture
def served(saved_models: Path, tmp_path: Path, publish: Publish) -> Iterator[tuple[EmbeddedServer, ModelClient, Path]]:
    """A server that looks often, with version 1 of affine."""
    base_path = tmp_path / "affine"
    publish(saved_models / "affine_1", base_path, 1)
    with (
        EmbeddedServer([ModelConfig("affine", base_path)], poll_interval_s=POLL_INTERVAL_S) as server,
        ModelClient(server.grpc_target) as client,
    ):
        yield server, client, base_path


def answer(client: ModelClient) -> float:
    return float(client.predict("affine", ONE)["y"][0])


def state(client: ModelClient, model: str, version: int) -> str:
    return {status.version: status.state for status in client.status(model)}.get(version, "unseen")


def test_no_request_is_lost_while_versions_change(
    served: tuple[EmbeddedServer, ModelClient, Path], saved_models: Path, publish: Publish, eventually: Any
) -> None:
    server, client, base_path = served
    stopped = threading.Event()

    def ask_grpc() -> set[float]:
        answers = set()
        while not stopped.is_set():
            answers.add(answer(client))
        return answers

    def ask_rest() -> set[float]:
        answers = set()
        with httpx.Client(timeout=60) as http:
            while not stopped.is_set():
                reply = http.post(server.rest_url + "/v1/models/affine:predict", content='{"instances": [1]}')
                assert reply.status_code == 200, reply.text
                answers.update(reply.json()["predictions"])
        return answers

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for ask in (ask_grpc, ask_grpc, ask_rest, ask_rest)]
        try:
            for version in (2, 3):
                publish(saved_models / f"affine_{version}", base_path, version)
                client.wait_until_available("affine", version)
                eventually(lambda gone=version - 1: state(client, "affine", gone) == "END", "end of the old version")
        finally:
            stopped.set()
        answers = set().union(*(future.result() for future in asked))
    assert answers <= {2.0, 3.0, 4.0}  # factor * 1 + 1
    assert {2.0, 4.0} <= answers
    assert answer(client) == 4.0


def test_an_old_version_finishes_its_requests(saved_models: Path, tmp_path: Path, publish: Publish, eventually: Any) -> None:
    base_path = tmp_path / "blocking"
    publish(saved_models / "blocking", base_path, 1)
    started, gate = tmp_path / "started", tmp_path / "gate"
    os.mkfifo(gate)
    inputs = {"started": np.array(str(started)), "gate": np.array(str(gate))}
    with (
        EmbeddedServer([ModelConfig("blocking", base_path)], poll_interval_s=POLL_INTERVAL_S) as server,
        ModelClient(server.grpc_target, timeout_s=60) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        request = pool.submit(client.predict, "blocking", inputs)
        eventually(started.exists, "request under way")
        publish(saved_models / "affine_1", base_path, 2)
        client.wait_until_available("blocking", 2)
        eventually(lambda: state(client, "blocking", 1) == "UNLOADING", "version 1 waiting for its request")
        assert client.predict("blocking", ONE)["y"] == [2.0]
        assert not request.done()
        assert gate.read_bytes() == b"through"
        assert request.result()["answer"] == 1
        eventually(lambda: state(client, "blocking", 1) == "END", "end of version 1")


def test_a_broken_version_leaves_the_old_one_serving(
    served: tuple[EmbeddedServer, ModelClient, Path], saved_models: Path, publish: Publish, eventually: Any
) -> None:
    _, client, base_path = served
    broken = base_path / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(InferenceError, match=r"version 2: .*Cannot parse file"):
        client.wait_until_available("affine", 2)
    assert answer(client) == 2.0
    [failed] = [status for status in client.status("affine") if status.version == 2]
    assert failed.state == "END"
    assert failed.error_message
    # The publisher takes it away and publishes it well.
    shutil.rmtree(broken)
    eventually(lambda: state(client, "affine", 2) == "unseen", "end of the memory of version 2")
    publish(saved_models / "affine_2", base_path, 2)
    client.wait_until_available("affine", 2)
    eventually(lambda: answer(client) == 3.0, "answer of version 2")


def test_a_version_without_its_saved_model_is_still_being_written(
    served: tuple[EmbeddedServer, ModelClient, Path], saved_models: Path, publish: Publish
) -> None:
    _, client, base_path = served
    shutil.copytree(saved_models / "affine_2" / "variables", base_path / "9" / "variables")
    (base_path / "notes").mkdir()
    publish(saved_models / "affine_3", base_path, 3)
    client.wait_until_available("affine", 3)
    assert {status.version for status in client.status("affine")} == {1, 3}


def test_taking_a_version_away_brings_the_one_before_back(
    served: tuple[EmbeddedServer, ModelClient, Path], saved_models: Path, publish: Publish, eventually: Any
) -> None:
    _, client, base_path = served
    second = publish(saved_models / "affine_2", base_path, 2)
    client.wait_until_available("affine", 2)
    eventually(lambda: state(client, "affine", 1) == "END", "end of version 1")
    shutil.rmtree(second)
    client.wait_until_available("affine", 1)
    eventually(lambda: answer(client) == 2.0, "answer of version 1")


def test_a_model_may_wait_for_its_first_version(saved_models: Path, tmp_path: Path, publish: Publish) -> None:
    base_path = tmp_path / "later"
    base_path.mkdir()
    with (
        EmbeddedServer([ModelConfig("later", base_path)], poll_interval_s=POLL_INTERVAL_S) as server,
        ModelClient(server.grpc_target) as client,
    ):
        with pytest.raises(InferenceError, match="Could not find any versions of model later"):
            client.status("later")
        publish(saved_models / "affine_1", base_path, 1)
        client.wait_until_available("later")
        [status] = client.status("later")
        assert (status.version, status.state) == (1, "AVAILABLE")
        assert isinstance(status, VersionStatus)


def test_recorded_requests_warm_a_version_up(saved_models: Path, tmp_path: Path, publish: Publish) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    base_path = tmp_path / "blocking"
    folder = publish(saved_models / "blocking", base_path, 1)
    log = prediction_log_pb2.PredictionLog()
    (tmp_path / "gate").touch()
    for name in ("started", "gate"):
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(str(tmp_path / name)))
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    with EmbeddedServer([ModelConfig("blocking", base_path)]):
        assert (tmp_path / "started").exists()
