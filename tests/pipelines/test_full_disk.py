"""A disk that is really full: the run says so, leaves nothing half-written, and goes on once there is room."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 60_000
# A disk of 1 MiB takes the metadata and the log, but not the events, whose ids do not compress. Both runs are made by one
# process, since most of their time is the import of TFX.
TWO_RUNS = """
import os, shutil, subprocess
from pathlib import Path
from pipelines.cli import app

def run(name):
    for descriptor, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}.{kind}", os.O_CREAT | os.O_WRONLY), descriptor)
    try:
        app(["run", "--config", "shop.yaml", "--workdir", "disk/work"])
    except SystemExit as ended:
        Path(f"{name}.code").write_text(str(ended.code))

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", "disk"], check=True)
run("full")
files = [str(path) for path in Path("disk/work/artifacts").rglob("*") if path.is_file()]
Path("full.files").write_text("\\n".join(files))
subprocess.run(["mount", "-o", "remount,size=64m", "disk"], check=True)
run("room")
for path in Path("disk/work/artifacts").glob("Ingest/event_log/*/summary.json"):
    shutil.copy(path, ".")
"""


@pytest.fixture
def namespace(tmp_path: Path) -> list[str]:
    """The command before a command that may mount a file system, which nobody else sees and which ends with the command."""
    (tmp_path / "disk").mkdir()
    for command in (["unshare", "-rm"], ["unshare", "-m"]):
        try:
            mounted = subprocess.run(
                [*command, "mount", "-t", "tmpfs", "none", tmp_path / "disk"], capture_output=True, check=False
            )
        except FileNotFoundError:
            break
        if mounted.returncode == 0:
            return command
    pytest.skip("a small disk cannot be mounted: user namespaces are not allowed here, and this is not root")


@pytest.mark.e2e
def test_a_full_disk_is_named_and_the_next_run_goes_on(tmp_path: Path, namespace: list[str]) -> None:
    rows = (f"{secrets.token_hex(16)},i{number % 50},{1_704_067_200 + number},seen\n" for number in range(EVENTS))
    (tmp_path / "events.csv").write_text("user,item,time,what\n" + "".join(rows))
    # The task's event is not in the log, which Samples refuses: the second run need not go further than that.
    (tmp_path / "shop.yaml").write_text(
        "name: shop\n"
        "dataset:\n"
        "  events: {path: events.csv, columns: {user_id: user, item_id: item, timestamp: time, type: what}}\n"
        "  tasks: {buy: {event: bought}}\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*namespace, sys.executable, "-c", TWO_RUNS], cwd=tmp_path, env=environment, check=True)

    def left(name: str) -> str:
        return (tmp_path / name).read_text()

    assert left("full.code") == "1"
    assert "a file in disk/work cannot be written: the disk is full. Make room or choose another folder" in left("full.err")
    assert "Traceback" not in left("full.err")
    assert left("full.files") == ""
    assert left("room.code") == "3"
    assert "dataset.tasks.buy.event: found no event of type 'bought'" in left("room.err")
    assert [line.split()[1] for line in left("room.out").splitlines()[1:]] == ["Ingest", "LastRelease"]
    assert json.loads(left("summary.json"))["event_count"] == EVENTS
