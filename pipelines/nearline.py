"""The stream tier: the online log's new files in micro-batches, each counted exactly once.

A batch goes through five steps, and a process may be killed at any moment of any of them:

1. claim: the files that are not counted yet are written down under the next batch number.
2. count: a bounded Beam pipeline over exactly these files writes the batch's hours under its number.
3. the manifest is written, last in the batch's folder.
4. the files are noted as consumed.
5. commit: the batch's number is written; from now on readers see it.

Whoever starts next finds the claim and does the same files again, into the same place with the same content: what is written
depends on the claim and on the batch before alone. Files are taken one by one and not up to a moment, since several log writers
may finish theirs out of order.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.config import PipelineConfig
from components.errors import ArtifactError, ServingError, raised_in_worker
from components.push.registry import sha256
from components.schema.events import MS_PER_HOUR
from components.schema.samples import history_types
from components.schema.trends import (
    COMMITTED_FILE,
    FORMAT,
    MANIFEST_FILE,
    STREAM_FOLDER,
    TRENDS_FILE,
    Manifest,
    batch_folder,
    committed_batch,
    hour_name,
    hour_of,
    read_manifest,
)
from components.storage.durable import sync
from components.trends.beam import FACTS_FILE, count_hours, read_facts
from components.trends.hours import HOURS_KEPT, HourCounts, write_table
from components.trends.lately import trends
from pipelines.beam_profiles import ClusterBeam, LocalBeam
from serving.log_writer.command_line import FOLDER as LOG_FOLDER
from serving.log_writer.online_log import LogFile, OnlineLog
from serving.log_writer.tables import EVENTS
from serving.sole_process import claimed as claimed_alone

CLAIM_FILE, CONSUMED_FOLDER, LOCK_FILE = "claim.json", "consumed", ".lock"
MAX_FILES = 1_000  # of a batch: what has gathered while nothing ran is counted in several
STEPS = ("claimed", "counted", "manifest", "consumed", "committed")


@dataclass(frozen=True)
class Claim:
    """The files of one batch.

    Attributes:
      until_ms: when the last entry of these files, or of those before, came into the event stream.
      files: name → size in bytes.
    """

    batch: int
    until_ms: int
    files: dict[str, int]


class StreamTier:
    """The batches of one work directory.

    Args:
      on_step: is told of each of ``STEPS`` when it is done, and of which batch.
    """

    def __init__(
        self,
        config: PipelineConfig,
        workdir: Path,
        profile: LocalBeam | ClusterBeam,
        on_step: Callable[[str, int], None] = lambda step, batch: None,
        max_files: int = MAX_FILES,
    ) -> None:
        workdir = workdir.resolve()
        if isinstance(profile, ClusterBeam):
            profile.check_place(workdir, "--workdir")
        self._config, self._profile, self._on_step, self._max_files = config, profile, on_step, max_files
        self._log, self._log_folder = OnlineLog(workdir / LOG_FOLDER), workdir / LOG_FOLDER / EVENTS
        self.folder = workdir / STREAM_FOLDER

    @contextmanager
    def alone(self) -> Iterator[None]:
        """
        Raises:
          ServingError: another process counts here.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        refusal = f"{self.folder}: another `winnow stream` counts here; end it first, or give another --workdir"
        with claimed_alone(self.folder / LOCK_FILE, refusal):
            yield

    def pending(self) -> list[LogFile]:
        """The log's files that no committed batch holds, oldest first."""
        consumed: dict[str, set[str]] = {}
        found = []
        for file in self._log.files(EVENTS):
            day, name = file.name.split("/")
            if day not in consumed:
                consumed[day] = set(self._consumed(day))
            if name not in consumed[day]:
                found.append(file)
        return found

    def next_batch(self, pending: list[LogFile]) -> Manifest | None:
        """Do the batch that was begun, or else one of ``pending``; None where there is nothing to do.

        Raises:
          ArtifactError: a file of the log, or of an earlier batch, is damaged or gone.
          ServingError: the cluster did not do its part; the batch stays claimed.
        """
        done = committed_batch(self.folder)
        before = read_manifest(self.folder, done) if done else None
        claim = self._claim(done + 1, before, pending)
        if claim is None:
            return None
        self._on_step("claimed", claim.batch)
        folder = batch_folder(self.folder, claim.batch)
        if not (folder / MANIFEST_FILE).exists():
            self._count(claim, before, folder)
            self._on_step("counted", claim.batch)
            self._write_manifest(claim, before, folder)
        self._on_step("manifest", claim.batch)
        self._note_consumed(claim)
        self._on_step("consumed", claim.batch)
        _write(self.folder / COMMITTED_FILE, str(claim.batch))
        self._on_step("committed", claim.batch)
        manifest = read_manifest(self.folder, claim.batch)
        self._tidy(manifest, before)
        return manifest

    def _claim(self, batch: int, before: Manifest | None, pending: list[LogFile]) -> Claim | None:
        path = self.folder / CLAIM_FILE
        if path.exists():
            try:
                claim = Claim(**json.loads(path.read_text()))
            except (ValueError, TypeError) as error:
                raise ArtifactError(
                    f"{path}: is no readable claim ({error}); remove it: its files are claimed again"
                ) from error
            if claim.batch == batch:
                self._check(claim)
                return claim
        chosen = pending[: self._max_files]
        if not chosen:
            return None
        until_ms = max(before.until_ms if before else 0, *(file.last_ms for file in chosen))
        claim = Claim(batch, until_ms, {file.name: (self._log_folder / file.name).stat().st_size for file in chosen})
        _write(path, json.dumps(asdict(claim), indent=1))
        return claim

    def _check(self, claim: Claim) -> None:
        for name, size in claim.files.items():
            path = self._log_folder / name
            found = path.stat().st_size if path.exists() else None
            if found != size:
                raise ArtifactError(
                    f"{path}: found {'nothing' if found is None else f'{found} bytes'}, batch {claim.batch} has claimed {size} "
                    f"bytes there; bring the file back as it was, or remove {self.folder / CLAIM_FILE} to go on without it"
                )

    def _count(self, claim: Claim, before: Manifest | None, folder: Path) -> None:
        if folder.exists():
            shutil.rmtree(folder)  # of a process that was killed
        folder.mkdir(parents=True)
        known = (
            {hour_of(name): batch_folder(self.folder, batch) / name for name, batch in before.hours.items()} if before else {}
        )
        files = [self._log_folder / name for name in claim.files]
        if isinstance(self._profile, ClusterBeam):
            self._profile.check_answers()
        pipeline = beam.Pipeline(options=PipelineOptions(self._profile.arguments()))
        count_hours(pipeline, files, known, claim.until_ms // MS_PER_HOUR, folder)
        try:
            running = pipeline.run()
            try:
                running.wait_until_finish()
            except KeyboardInterrupt:
                running.cancel()
                raise
        except Exception as error:
            ours = raised_in_worker(error)
            if ours is not None:
                raise ours from error
            if isinstance(self._profile, ClusterBeam):
                raise ServingError(
                    f"the job server {self._profile.job_server} or its cluster did not do batch {claim.batch} ({error}); its "
                    "files stay claimed, and the next start does it again"
                ) from error
            raise

    def _write_manifest(self, claim: Claim, before: Manifest | None, folder: Path) -> None:
        facts, until_hour = read_facts(folder), claim.until_ms // MS_PER_HOUR
        hours = dict(before.hours) if before else {}
        hours |= {hour_name(hour): claim.batch for hour in facts.event_count}
        hours = {name: batch for name, batch in sorted(hours.items()) if hour_of(name) > until_hour - HOURS_KEPT}
        counts = {hour_of(name): self._counts(name, batch) for name, batch in hours.items()}
        seen_types = {each for table in counts.values() for each in table.column("type").to_pylist()}
        write_table(trends(counts, until_hour, history_types(self._config, seen_types)), folder / TRENDS_FILE)
        (folder / FACTS_FILE).unlink()
        for left in folder.rglob(".*"):  # by a worker that was killed, or overtaken by its successor
            left.unlink()
        manifest = Manifest(
            format=FORMAT,
            batch=claim.batch,
            until_ms=claim.until_ms,
            files=tuple(claim.files),
            event_count=sum(facts.event_count.values()),
            repeat_count=sum(facts.repeat_count.values()),
            late_count=facts.late_count,
            ahead_count=facts.ahead_count,
            hours=hours,
            sha256={str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*.parquet"))},
        )
        for path in (*folder.rglob("*"), folder):
            sync(path)
        _write(folder / MANIFEST_FILE, manifest.to_json())

    def _counts(self, name: str, batch: int) -> Any:
        return HourCounts.load(batch_folder(self.folder, batch) / name).counts

    def _consumed(self, day: str) -> list[str]:
        path = self.folder / CONSUMED_FOLDER / f"{day}.json"
        try:
            return list(json.loads(path.read_text()))
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise ArtifactError(f"{path}: cannot be read ({error}); move {self.folder} away to count the log anew") from error

    def _note_consumed(self, claim: Claim) -> None:
        (self.folder / CONSUMED_FOLDER).mkdir(exist_ok=True)
        by_day: dict[str, list[str]] = {}
        for file in claim.files:
            day, name = file.split("/")
            by_day.setdefault(day, []).append(name)
        for day, names in by_day.items():
            noted = json.dumps(sorted({*self._consumed(day), *names}))
            _write(self.folder / CONSUMED_FOLDER / f"{day}.json", noted)

    def _tidy(self, now: Manifest, before: Manifest | None) -> None:
        """Remove what neither the batch that counts nor the one before, which may still be read, refers to."""
        kept = {(batch, name) for each in (now, before) if each for name, batch in each.hours.items()}
        for folder in (self.folder / "batches").iterdir():
            batch = int(folder.name)
            for hour in folder.glob("hour=*"):
                if (batch, hour.name) not in kept:
                    shutil.rmtree(hour)
            if batch < now.batch - 1 and not any(folder.glob("hour=*")):
                shutil.rmtree(folder)
        days = {folder.name for folder in self._log_folder.glob("day=*")}
        for noted in (self.folder / CONSUMED_FOLDER).glob("day=*.json"):
            if noted.stem not in days:  # the log's old days are their owner's to remove
                noted.unlink()


def _write(path: Path, text: str) -> None:
    """The file is there whole or as it was before, also when the machine loses its power."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    sync(partial)
    partial.replace(path)
    sync(path.parent)
