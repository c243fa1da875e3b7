"""The stream tier: every file of the online log counted once, whatever happens on the way."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from components.config import PipelineConfig, load_config
from components.errors import ArtifactError, ConfigError, ServingError
from components.schema.events import MS_PER_HOUR
from components.schema.trends import batch_folder, committed_batch, hour_name, read_manifest, read_trends
from pipelines.beam_profiles import LOCAL_BEAM, ClusterBeam
from pipelines.cli import app
from pipelines.nearline import CLAIM_FILE, STEPS, StreamTier
from pipelines.nearline_metrics import StreamMetrics
from serving.log_writer.command_line import FOLDER
from tests.pipelines.online_log import NOW_MS, SHOP, content, counted, event, fill, log, shown

ROOT = Path(__file__).resolve().parents[2]
NOW_HOUR = NOW_MS // MS_PER_HOUR


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "shop.yaml"
    file.write_text(yaml.safe_dump(SHOP))
    return file


@pytest.fixture(scope="session")
def config(config_file: Path) -> PipelineConfig:
    return load_config(config_file)


Tier = Callable[..., StreamTier]


@pytest.fixture
def tier(config: PipelineConfig, tmp_path: Path) -> Tier:
    return lambda **settings: StreamTier(config, tmp_path, LOCAL_BEAM, **settings)


def hours(tier: StreamTier) -> dict[int, dict[tuple[str, str], int]]:
    """What counts now: hour (from ``NOW_HOUR``) → (item, type) → events."""
    found: dict[int, dict[tuple[str, str], int]] = {}
    for name, batch in read_manifest(tier.folder, committed_batch(tier.folder)).hours.items():
        rows = pq.ParquetFile(batch_folder(tier.folder, batch) / name / "counts.parquet").read().to_pylist()
        place = next(hour for hour in range(-200, 200) if hour_name(NOW_HOUR + hour) == name)
        found[place] = {(row["item_id"], row["type"]): row["event_count"] for row in rows}
    return found


def trending(tier: StreamTier, period: str, type_: str | None = None) -> list[tuple[str, int]]:
    rows = read_trends(tier.folder, committed_batch(tier.folder)).to_pylist()
    return [(row["item_id"], row["event_count"]) for row in rows if (row["period"], row["type"]) == (period, type_)]


def test_batches_add_up(tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("1", "a"), event("2", "b"), event("3", "b"), shown("r1", "c", "a"))
    [first] = counted(tier())
    assert (first.batch, first.event_count, first.repeat_count, len(first.files)) == (1, 5, 0, 1)
    assert hours(tier()) == {0: {("a", "click"): 1, ("a", "impression"): 1, ("b", "click"): 2, ("c", "impression"): 1}}
    assert trending(tier(), "day") == [("b", 2), ("a", 1)]  # impressions are no interest
    assert trending(tier(), "day", "impression") == [("a", 1), ("c", 1)]

    log(tmp_path, 3_700, event("4", "a", NOW_MS + MS_PER_HOUR), event("5", "a", NOW_MS + MS_PER_HOUR))
    [second] = counted(tier())
    assert (second.batch, second.event_count) == (2, 2)
    assert hours(tier())[1] == {("a", "click"): 2}
    assert trending(tier(), "week") == [("a", 3), ("b", 2)]


def test_an_event_that_is_sent_again_counts_once(tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("1", "a"), event("1", "a"), event("2", "a"))
    log(tmp_path, 2, event("2", "a"), event("3", "a"))
    found = counted(tier(max_files=1))
    assert [(each.event_count, each.repeat_count) for each in found] == [(2, 1), (1, 1)]
    assert hours(tier()) == {0: {("a", "click"): 3}}


def test_late_events_go_to_their_own_hour_or_are_counted_as_left_out(tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("1", "a"))
    counted(tier())
    moments = {"2": 0, "3": 2, "old": -200, "fast": 5, "week": -165}
    log(tmp_path, 7_200, *(event(event_id, "a", NOW_MS + hour * MS_PER_HOUR) for event_id, hour in moments.items()))
    [manifest] = counted(tier())
    assert (manifest.event_count, manifest.late_count, manifest.ahead_count) == (3, 1, 1)
    assert hours(tier()) == {-165: {("a", "click"): 1}, 0: {("a", "click"): 2}, 2: {("a", "click"): 1}}
    log(tmp_path, 3 * 3_600, event("4", "a", NOW_MS + 3 * MS_PER_HOUR))  # a week after that hour: it is kept no more
    counted(tier())
    assert set(hours(tier())) == {0, 2, 3}


def test_a_batch_of_nothing_but_left_out_events(tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("old", "a", NOW_MS - 200 * MS_PER_HOUR))
    [manifest] = counted(tier())
    assert (manifest.event_count, manifest.late_count, dict(manifest.hours)) == (0, 1, {})
    assert trending(tier(), "week") == []
    assert tier().pending() == []


def test_an_empty_range_is_no_batch(tier: Tier, tmp_path: Path) -> None:
    assert counted(tier()) == []  # there is no log yet
    log(tmp_path, 1, event("1", "a"))
    counted(tier())
    before = content(tier().folder)
    assert counted(tier()) == []
    assert content(tier().folder) == before


def test_writers_may_finish_out_of_order(tier: Tier, tmp_path: Path) -> None:
    """A file with earlier entries appears when later ones are counted already, even of a day that is over."""
    log(tmp_path, 50, event("1", "a"))
    counted(tier())
    log(tmp_path, 10, event("2", "b"))
    log(tmp_path, -10, event("3", "c"))
    [manifest] = counted(tier())
    assert [file.split("/")[0] for file in manifest.files] == ["day=2023-12-31", "day=2024-01-01"]
    assert manifest.until_ms == NOW_MS + 50_000  # never goes back
    assert hours(tier()) == {0: {("a", "click"): 1, ("b", "click"): 1, ("c", "click"): 1}}


@pytest.fixture(scope="module")
def undisturbed(config: PipelineConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What two batches come to, the first of them of one file."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    two_batches(config, workdir)
    return content(workdir / "stream")


def two_batches(config: PipelineConfig, workdir: Path) -> None:
    fill(workdir)
    with (first := StreamTier(config, workdir, LOCAL_BEAM, max_files=1)).alone():
        first.next_batch(first.pending())
    counted(StreamTier(config, workdir, LOCAL_BEAM))


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_any_step_is_replayed_into_the_same_files(
    step: str, config: PipelineConfig, config_file: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    fill(tmp_path)
    with (first := StreamTier(config, tmp_path, LOCAL_BEAM, max_files=1)).alone():
        first.next_batch(first.pending())
    command = [sys.executable, "-m", "tests.pipelines.nearline_process", str(config_file), str(tmp_path), step]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    log(tmp_path, 99, event("99", "z"))  # what comes meanwhile is no part of what was claimed
    tier = StreamTier(config, tmp_path, LOCAL_BEAM)
    if step != "committed":
        assert committed_batch(tier.folder) == 1
        tier.next_batch(tier.pending())
    assert committed_batch(tier.folder) == 2
    found = content(tier.folder)
    # A process that is killed once it has committed leaves the clearing up to the next batch.
    assert {name: found[name] for name in undisturbed} == undisturbed
    assert found.keys() == undisturbed.keys() or step == "committed"
    counted(tier)
    assert hours(tier)[0] == {
        ("a", "click"): 1, ("a", "impression"): 1, ("b", "click"): 1, ("b", "impression"): 1, ("z", "click"): 1
    }  # fmt: skip


def test_what_a_killed_worker_has_half_written_is_done_anew(
    config: PipelineConfig, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    fill(tmp_path)
    with (tier := StreamTier(config, tmp_path, LOCAL_BEAM, max_files=1)).alone():
        tier.next_batch(tier.pending())
    hour = batch_folder(tier.folder, 2) / hour_name(NOW_HOUR)
    hour.mkdir(parents=True)
    (hour / "counts.parquet").write_bytes(b"half")
    (hour / ".ids.parquet.0").write_bytes(b"")
    counted(StreamTier(config, tmp_path, LOCAL_BEAM))
    assert content(tier.folder) == undisturbed


def test_only_what_may_be_read_stays(tier: Tier, tmp_path: Path) -> None:
    for second in range(6):
        log(tmp_path, second, event(str(second), "a"))
        counted(tier())
    kept = sorted(str(path.relative_to(tier().folder / "batches")) for path in (tier().folder / "batches").glob("*/hour=*"))
    assert kept == [f"{batch}/{hour_name(NOW_HOUR)}" for batch in (5, 6)]  # a reader may still be at the one before
    assert sorted(path.name for path in (tier().folder / "batches").iterdir()) == ["5", "6"]
    shutil.rmtree(tmp_path / FOLDER / "events" / "day=2024-01-01")  # its owner removes an old day
    log(tmp_path, 86_400, event("7", "a"))
    counted(tier())
    assert [path.name for path in (tier().folder / "consumed").iterdir()] == ["day=2024-01-02.json"]


def test_a_damaged_file_of_the_log_stops_the_batch_and_counts_nothing(tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("1", "a"))
    [path] = (tmp_path / FOLDER).rglob("part-*.parquet")
    whole = path.read_bytes()
    path.write_bytes(b"PAR1" + b"x" * (len(whole) - 8) + b"PAR1")
    with pytest.raises(ArtifactError, match=r"part-.* is no readable file of the event log .*; bring it back as it was"):
        counted(tier())
    assert committed_batch(tier().folder) == 0
    path.write_bytes(whole)
    assert [each.event_count for each in counted(tier())] == [1]


def test_a_claimed_file_that_has_changed_is_told(tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("1", "a"))

    def stop(step: str, batch: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        counted(tier(on_step=stop))
    [path] = (tmp_path / FOLDER).rglob("part-*.parquet")
    size = path.stat().st_size
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"found nothing, batch 1 has claimed {size} bytes there; bring the file back"):
        counted(tier())
    (tier().folder / CLAIM_FILE).unlink()
    assert counted(tier()) == []


@pytest.mark.parametrize(
    ("file", "message"),
    [("committed", "found 'x', wanted the number of a batch"), (CLAIM_FILE, "is no readable claim"),
     ("consumed/day=2024-01-01.json", "cannot be read"), ("batches/1/manifest.json", "cannot be read")],
)  # fmt: skip
def test_damaged_notes_are_told(file: str, message: str, tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("1", "a"))
    counted(tier())
    (tier().folder / file).write_text("x")
    log(tmp_path, 2, event("2", "a"))
    with pytest.raises(ArtifactError, match=message):
        counted(tier())


def test_one_process_at_a_time(tier: Tier) -> None:
    refused = pytest.raises(ServingError, match=r"another `winnow stream` counts here; end it first")
    with tier().alone(), refused, tier().alone():
        pass


def test_a_job_server_that_is_not_there_is_told_at_once(config: PipelineConfig, tmp_path: Path, tier: Tier) -> None:
    log(tmp_path, 1, event("1", "a"))
    away = ClusterBeam(profile="flink", job_server="127.0.0.1:1")
    with pytest.raises(ServingError, match=r"beam\.job_server: nothing answers at 127\.0\.0\.1:1 .*job_server\.py flink"):
        counted(StreamTier(config, tmp_path, away))
    assert [each.batch for each in counted(tier())] == [1]


def test_workers_must_see_the_work_directory(config: PipelineConfig, tmp_path: Path) -> None:
    elsewhere = ClusterBeam.model_validate(
        {"profile": "flink", "job_server": "j:8099", "worker_pool": "localhost:50000", "shared": "/mnt/winnow"}
    )
    with pytest.raises(ConfigError, match=r"--workdir: found .*, wanted a folder below beam\.shared, /mnt/winnow"):
        StreamTier(config, tmp_path, elsewhere)


def test_what_is_measured(tier: Tier, tmp_path: Path) -> None:
    log(tmp_path, 1, event("1", "a"), event("1", "a"), event("old", "a", NOW_MS - 200 * MS_PER_HOUR))
    log(tmp_path, 2, event("2", "a"))
    metrics, pending = StreamMetrics(), tier().pending()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    metrics.waiting(pending)
    assert value("winnow_stream_pending_files") == 2
    lag_s = value("winnow_stream_lag_seconds")
    assert lag_s is not None
    assert lag_s > 86_400  # the entries came in 2024
    [manifest] = counted(tier())
    metrics.committed(manifest, 0.5)
    assert value("winnow_stream_pending_files") == 0
    assert value("winnow_stream_lag_seconds") == 0
    assert value("winnow_stream_batch") == 1
    outcomes = {each: value("winnow_stream_events_total", outcome=each) for each in ("event", "repeat", "late", "ahead")}
    assert outcomes == {"event": 2, "repeat": 1, "late": 1, "ahead": 0}
    assert value("winnow_stream_batch_seconds_sum") == 0.5


def test_the_command(config_file: Path, tmp_path: Path) -> None:
    fill(tmp_path)
    flags = ["stream", "--config", str(config_file), "--workdir", str(tmp_path), "--once"]
    done = CliRunner().invoke(app, [*flags, "--json"])
    assert done.exit_code == 0, done.output
    [batch] = map(json.loads, done.stdout.splitlines())
    assert {name: batch[name] for name in ("batch", "files", "event_count", "repeat_count")} == {
        "batch": 1, "files": 3, "event_count": 6, "repeat_count": 1
    }  # fmt: skip
    again = CliRunner().invoke(app, flags)
    assert again.exit_code == 0
    assert "is left to count" in again.stdout


def test_it_follows_the_log_until_it_is_told_to_end(config_file: Path, tmp_path: Path) -> None:
    fill(tmp_path)
    flags = ["--config", str(config_file), "--workdir", str(tmp_path), "--every", "0.1", "--json"]
    command = [sys.executable, "-m", "pipelines.cli", "stream", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["batch"] == 1
        log(tmp_path, 9, event("9", "a"))
        assert json.loads(process.stdout.readline())["batch"] == 2
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; a batch that was begun is done again by the next start" in said


@pytest.mark.parametrize("address", ["9102", "127.0.0.1:metrics", ":9102"])
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"--metrics: found .*, wanted HOST:PORT"):
        StreamMetrics().serve(address)
