"""The server's command line and its child process: readiness, flags, ends good and bad."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from components.errors import ServingError
from serving.inference import InferenceError, ModelClient
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer

Publish = Callable[[Path, Path, int], Path]
COMMAND = [sys.executable, "-m", "serving.model_server"]
ROOT = Path(__file__).parents[3]
X = {"x": np.array([1.0], np.float32)}


@contextmanager
def running(*flags: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, int]]]:
    with subprocess.Popen([*COMMAND, *flags], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def failure(*flags: str) -> tuple[int, str]:
    ended = subprocess.run([*COMMAND, *flags], cwd=ROOT, capture_output=True, timeout=120, text=True)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


@pytest.fixture
def affine(saved_models: Path, tmp_path: Path, publish: Publish) -> Path:
    publish(saved_models / "affine_1", tmp_path / "affine", 1)
    return tmp_path / "affine"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(affine: Path, number: signal.Signals) -> None:
    flags = ["--port", "0", "--rest_api_port=0", "--model_name", "m", f"--model_base_path={affine}"]
    with running(*flags) as (process, ports):
        assert ports["pid"] == process.pid
        with ModelClient(f"127.0.0.1:{ports['grpc_port']}") as client:
            assert client.predict("m", X)["y"] == [2.0]
        assert httpx.get(f"http://127.0.0.1:{ports['rest_api_port']}/v1/models/m").status_code == 200
        process.send_signal(number)
        assert process.wait(60) == 0


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_request_under_way_is_answered_before_it_ends(
    saved_models: Path, tmp_path: Path, publish: Publish, eventually: Any, transport: str
) -> None:
    publish(saved_models / "blocking", tmp_path / "blocking", 1)
    started, gate = tmp_path / "started", tmp_path / "gate"
    os.mkfifo(gate)
    server = EmbeddedServer([ModelConfig("blocking", tmp_path / "blocking")], shutdown_grace_s=60)

    def ask() -> float:
        names = {"started": str(started), "gate": str(gate)}
        if transport == "grpc":
            with ModelClient(server.grpc_target, timeout_s=60) as client:
                arrays = {alias: np.array(name) for alias, name in names.items()}
                return float(client.predict("blocking", arrays)["answer"])
        url = server.rest_url + "/v1/models/blocking:predict"
        return float(httpx.post(url, content=json.dumps({"inputs": names}), timeout=60).json()["outputs"])

    with server, ThreadPoolExecutor(2) as pool:
        asked = pool.submit(ask)
        eventually(started.exists, "request under way")
        addresses = [server.grpc_target, server.rest_url.removeprefix("http://")]
        ended = pool.submit(server.stop)
        for address in addresses:
            eventually(lambda address=address: not is_open(address), "closed door")
        assert not asked.done()
        assert not ended.done()
        assert gate.read_bytes() == b"through"
        assert asked.result() == 1.0
        assert ended.result() == 0


def test_a_request_that_does_not_end_is_dropped(saved_models: Path, tmp_path: Path, publish: Publish, eventually: Any) -> None:
    publish(saved_models / "blocking", tmp_path / "blocking", 1)
    started, gate, log_path = tmp_path / "started", tmp_path / "gate", tmp_path / "server.log"
    os.mkfifo(gate)
    server = EmbeddedServer([ModelConfig("blocking", tmp_path / "blocking")], shutdown_grace_s=0.2, log_path=log_path)
    with server, ModelClient(server.grpc_target, timeout_s=60) as client, ThreadPoolExecutor(1) as pool:
        inputs = {"started": np.array(str(started)), "gate": np.array(str(gate))}
        asked = pool.submit(client.predict, "blocking", inputs)
        eventually(started.exists, "request under way")
        assert server.stop() == ServingError.exit_code
        with pytest.raises(InferenceError):
            asked.result()
    assert "1 requests were not answered within 0.2 s" in log_path.read_text()


def test_it_does_not_outlive_its_parent(affine: Path, eventually: Any) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from serving.model_server.model_config import ModelConfig\n"
        "from serving.model_server.process import EmbeddedServer\n"
        "server = EmbeddedServer([ModelConfig('m', Path(sys.argv[1]))])\n"
        "server.start()\n"
        "print(server.grpc_target, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", program, str(affine)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.returncode == -signal.SIGKILL
    eventually(lambda: not is_open(parent.stdout.strip()), "end of the orphan")


def is_open(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_without_a_rest_port_there_is_no_rest(affine: Path) -> None:
    with running("--port=0", f"--model_base_path={affine}") as (_, ports):
        assert ports["rest_api_port"] is None
        with ModelClient(f"127.0.0.1:{ports['grpc_port']}") as client:
            assert client.predict("default", X)["y"] == [2.0]


def test_a_config_file_with_several_models(affine: Path, saved_models: Path, publish: Publish, tmp_path: Path) -> None:
    publish(saved_models / "affine_2", affine, 2)
    publish(saved_models / "affine_3", affine, 3)
    publish(saved_models / "scalar", tmp_path / "scalar", 5)
    config_file = tmp_path / "models.config"
    config_file.write_text(
        f"""
        model_config_list {{
          config {{
            name: "some" base_path: "{affine}" model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: 1 versions: 3 }} }}
            version_labels {{ key: "stable" value: 1 }}
          }}
          config {{ name: "total" base_path: "{tmp_path}/scalar" model_platform: "tensorflow" }}
        }}
        """
    )
    flags = ["--port=0", "--rest_api_port=0", f"--model_config_file={config_file}", "--model_base_path=/ignored"]
    code, message = failure(*flags)
    assert code == ServingError.exit_code
    assert "label to version 1 of model some, which is not currently available for inference" in message
    with running(*flags, "--allow_version_labels_for_unavailable_models=true") as (_, ports):
        url = f"http://127.0.0.1:{ports['rest_api_port']}/v1/models"
        versions = httpx.get(url + "/some").json()["model_version_status"]
        assert [status["version"] for status in versions] == ["3", "1"]
        assert httpx.post(url + "/some/labels/stable:predict", content='{"instances": [1]}').json() == {"predictions": [2.0]}
        assert httpx.post(url + "/total:predict", content='{"inputs": [1, 2]}').json() == {"outputs": 3.0}


def test_a_body_beyond_the_limit(affine: Path) -> None:
    flags = ["--port=0", "--rest_api_port=0", f"--model_base_path={affine}", "--rest_api_max_body_bytes=100"]
    with running(*flags) as (_, ports):
        url = f"http://127.0.0.1:{ports['rest_api_port']}/v1/models/default:predict"
        message = "the request body is longer than 100 bytes; send less in one request, or raise --rest_api_max_body_bytes"
        bomb = subprocess.run(["gzip"], input=b" " * 1_000_000, capture_output=True, check=True).stdout[:90]
        assert httpx.post(url, content=b" " * 101).json() == {"error": message}
        reply = httpx.post(url, content=bomb, headers={"content-encoding": "gzip"})
        assert reply.json() == {"error": message}


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
def test_a_taken_port(affine: Path, flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "--rest_api_port" if flag == "--port" else "--port"
        code, message = failure(f"{flag}={port}", f"{other}=0", f"--model_base_path={affine}")
    assert code == ServingError.exit_code
    assert f"cannot listen on 127.0.0.1:{port}" in message
    assert f"give {flag} a port that is free, or 0 for any" in message


def test_a_base_path_that_is_not_there(tmp_path: Path) -> None:
    code, message = failure(f"--model_base_path={tmp_path / 'absent'}")
    assert code == ServingError.exit_code
    assert message == (
        f"model server: the base path {tmp_path / 'absent'} of model default is not a folder; "
        "wanted the folder that holds its numbered version folders\n"
    )


def test_a_config_file_that_is_wrong(tmp_path: Path) -> None:
    config_file = tmp_path / "models.config"
    config_file.write_text("model_config_list { config { nme: 'm' } }")
    code, message = failure(f"--model_config_file={config_file}")
    assert code == ServingError.exit_code
    assert f"the file {config_file} is not a ModelServerConfig in text form: 1:" in message


def test_no_model(tmp_path: Path) -> None:
    code, message = failure()
    assert code == ServingError.exit_code
    assert "no model is given; wanted --model_base_path DIR" in message


def test_help_tells_where_it_listens() -> None:
    shown = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0
    assert "this machine alone" in " ".join(shown.stdout.split())


def test_only_a_broken_version(tmp_path: Path) -> None:
    folder = tmp_path / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"not a model")
    server = EmbeddedServer([ModelConfig("m", tmp_path / "m")])
    with pytest.raises(ServingError, match=r"ended with status 6 before it was ready:[\s\S]*model m: version 1: "):
        server.start()


def test_a_label_of_a_version_that_is_not_there(affine: Path) -> None:
    with EmbeddedServer([ModelConfig("m", affine, labels={"stable": 4})]) as server:
        reply = httpx.post(server.rest_url + "/v1/models/m/labels/stable:predict", content='{"instances": [1]}')
        assert (reply.status_code, reply.json()) == (404, {"error": "Servable not found for request: Specific(m, 4)"})


def test_a_killed_one_is_started_again_where_it_was(affine: Path) -> None:
    with EmbeddedServer([ModelConfig("m", affine)]) as server:
        pid, addresses = server.pid, (server.grpc_target, server.rest_url)
        os.kill(pid, signal.SIGKILL)
        while server.running:
            time.sleep(0.01)
        server.restart()
        assert server.running
        assert server.pid != pid
        assert (server.grpc_target, server.rest_url) == addresses
        assert httpx.post(server.rest_url + "/v1/models/m:predict", content='{"instances": [1]}').status_code == 200


def test_the_child_is_gone_after_the_context(affine: Path, tmp_path: Path) -> None:
    log_path = tmp_path / "server.log"
    with EmbeddedServer([ModelConfig("m", affine)], log_path=log_path) as server:
        pid = server.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "model m version 1: available" in log_path.read_text()
