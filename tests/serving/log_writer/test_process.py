"""The writer as a process: killed at any moment, ended in order, on a disk that is full."""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError
from serving.event_stream import STREAM
from serving.log_writer.command_line import FOLDER, main
from serving.log_writer.group import GROUP
from serving.log_writer.process import embedded_log_writer
from tests.forks import forked

IMPORTED = ["serving.log_writer.command_line", "pandas"]  # which Arrow imports where it is installed
PATIENCE_S = 120
ROOT = Path(__file__).resolve().parents[3]


def said(workdir: Path) -> str:
    return (workdir / "writer.log").read_text()


def group(client: Any) -> dict[str, Any]:
    found = client.xinfo_groups(STREAM) if client.exists(STREAM) else []
    return next((each for each in found if each["name"] == GROUP), {"lag": None, "pending": None})


def is_read(client: Any) -> bool:
    return group(client)["lag"] == 0


def is_written(client: Any) -> bool:
    return is_read(client) and group(client)["pending"] == 0


def once(count: int) -> dict[str, int]:
    return {f"e{number}": 1 for number in range(count)}


def test_a_writer_killed_at_any_moment_loses_and_doubles_nothing(
    url: str, client: Any, tmp_path: Path, event: Any, shown: Any, event_ids: Any, read: Any, eventually: Callable[..., None]
) -> None:
    """Records come all the while. Writers of tiny files are killed, one after the other; the last one ends in order."""
    sent: Counter[str] = Counter()
    ending = threading.Event()

    def send() -> None:
        for number in range(1_000_000):
            if ending.wait(0.001):
                return
            client.xadd(STREAM, {"record": event(number) if number % 5 else shown(number)})
            sent.update([f"e{number}"] if number % 5 else [f"r{number}:1", f"r{number}:2"])

    def files() -> int:
        return len(list(tmp_path.rglob("part-*")))

    def start(*flags: str) -> Any:
        arguments = [f"--workdir={tmp_path}", f"--store_url={url}", "--consumer=one", *flags]
        return forked(IMPORTED, main, arguments)

    sender = threading.Thread(target=send)
    sender.start()
    rng = random.Random(7)
    try:
        for number in range(10):
            begun = files()
            # Batches are cut in other places each time: equal ones would take each other's name.
            writer = start(f"--max_entries={rng.randint(10, 40)}", "--max_wait_s=0.01")
            deadline_s = time.monotonic() + PATIENCE_S
            while files() == begun:  # no sleep between: every other writer is to die before it can acknowledge
                assert time.monotonic() < deadline_s
            time.sleep(rng.uniform(0, 0.05) if number % 2 else 0)
            writer.kill()
            writer.join()
    finally:
        ending.set()
        sender.join()
    last = start("--max_wait_s=0")
    eventually(lambda: is_written(client), "rest")
    last.terminate()
    last.join(PATIENCE_S)
    assert last.exitcode == 0
    assert event_ids(tmp_path / FOLDER) == sent
    lists = read(tmp_path / FOLDER, "shown").column("request_id").to_pylist()
    assert Counter(lists) == Counter(name[:-2] for name in sent if name.endswith(":1"))


def test_an_order_to_end_writes_what_is_gathered(
    url: str, client: Any, tmp_path: Path, event: Any, event_ids: Any, eventually: Callable[..., None]
) -> None:
    with embedded_log_writer(tmp_path, url, tmp_path / "writer.log", ("--max_wait_s=50",), grace_s=PATIENCE_S):
        for number in range(30):
            client.xadd(STREAM, {"record": event(number)})
        eventually(lambda: is_read(client), "reader")
        assert not list(tmp_path.rglob("part-*"))
    assert event_ids(tmp_path / FOLDER) == once(30)
    assert is_written(client)
    assert "30 entries written, 0 of them no records; 0 repeated, 0 lost" in said(tmp_path)


def test_a_full_disk_is_named_and_written_to_when_there_is_room(
    url: str, client: Any, tmp_path: Path, small_disk: tuple[str, ...], event: Any, event_ids: Any, eventually: Any
) -> None:
    """A disk of 64 KiB, filled but for one page; the room is made by the shell that also mounted it."""
    script = (
        'mount -t tmpfs -o size=64k none "$0" && head -c 60K /dev/zero > "$0/ballast" && '
        '{ while [ ! -e "$1" ]; do sleep 0.05; done; rm "$0/ballast"; while [ ! -e "$2" ]; do sleep 0.05; done; '
        'cp -r "$0/online-log" "$3"; touch "$3/whole"; } & shift 3; exec "$@"'
    )
    disk, room, done, out = (tmp_path / name for name in ("disk", "room", "done", "out"))
    out.mkdir()
    for number in range(2_000):
        client.xadd(STREAM, {"record": event(number)})
    shell = (*small_disk, "sh", "-c", script, *map(str, (disk, room, done, out)))
    with (tmp_path / "writer.log").open("ab") as log:
        command = [*shell, sys.executable, "-m", "serving.log_writer", f"--workdir={disk}", f"--store_url={url}"]
        process = subprocess.Popen([*command, "--max_wait_s=0"], cwd=ROOT, stderr=log)
    try:
        eventually(lambda: "No space left on device" in said(tmp_path), "complaint")
        assert f"{disk}/online-log: the log cannot be written (No space left on device)" in said(tmp_path)
        assert group(client)["pending"] > 0
        room.touch()
        eventually(lambda: is_written(client), "file")
        done.touch()
        eventually(lambda: (out / "whole").exists(), "copy")
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert event_ids(out / FOLDER) == once(2_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[str, ...]:
    """The command before a command that may mount a file system, which nobody else sees and which ends with the command."""
    (tmp_path / "disk").mkdir()
    for command in (("unshare", "-rm"), ("unshare", "-m")):
        try:
            probe = [*command, "mount", "-t", "tmpfs", "none", str(tmp_path / "disk")]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            break
    pytest.skip("a small disk cannot be mounted: user namespaces are not allowed here, and this is not root")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max_wait_s=60"], "claim_after_s is 60 and max_wait_s 60"),
        (["--max_entries=0"], "--max_entries: Input should be greater than or equal to 1"),
        (["--max_entries=many"], "--max_entries: invalid int value: 'many'"),
    ],
)
def test_a_wrong_flag_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str) -> None:
    with pytest.raises(SystemExit):
        main([f"--workdir={tmp_path}", "--store_url=redis://127.0.0.1:1/0", *flags])
    assert message in capsys.readouterr().err.replace("argument ", "")


def test_a_url_of_another_kind_is_refused_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--workdir={tmp_path}", "--store_url=http://127.0.0.1"]) == ConfigError.exit_code
    assert capsys.readouterr().err.startswith("log writer: the store's URL begins with 'http'")
