"""What happens to a gateway under load when something breaks beside it: one function a fault, each leaves all well again."""

import json
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import kill
from pathlib import Path

from components.push.registry import MANIFEST_FILE, MODELS, Registry
from tests.benchmarks.serving.load import Answer, Load, fallbacks_of, percentile_ms
from tests.benchmarks.serving.stack import Stack, Written

STATE = "state store: the release's snapshot of the user"
TOWER = "query tower: recall without it"
RANKER = "ranker: the order of recall"
BEFORE_S = 0.5  # the load goes on this long before the fault
STALL_S = 2.0
EVENT_SHARE = 0.25  # of the requests; each reports one event


@dataclass(frozen=True)
class Outcome:
    """What a fault did.

    Attributes:
      answers: to every request of the load.
      well_after_s: from the cure until a list came that needed no fallback.
      written: what came of the records that the answers promised.
      note: what else there is to say.
    """

    answers: list[Answer]
    well_after_s: float
    written: Written
    note: str = ""

    def of(self, kind: str) -> list[Answer]:
        """Those to ``recommend`` or to ``events``."""
        return [answer for answer in self.answers if answer.kind == kind]

    @property
    def fallbacks(self) -> dict[str, int]:
        return dict(fallbacks_of(self.answers))

    @property
    def releases(self) -> list[int]:
        return sorted({answer.release for answer in self.answers if answer.release})

    def row(self, fault: str) -> dict[str, object]:
        """One line of the table."""
        return {
            "fault": fault,
            "recommend": _summary(self.of("recommend")),
            "events": _summary(self.of("events")),
            "empty_lists": sum(answer.status == 200 and not answer.items for answer in self.of("recommend")),
            "fallbacks": self.fallbacks,
            "releases": self.releases,
            "records": self.written.acknowledged,
            "records_lost": self.written.lost,
            "records_doubled": self.written.doubled,
            "well_after_s": round(self.well_after_s, 1),
            "note": self.note,
        }


def model_server_killed(stack: Stack, rate: float, seconds: float) -> Outcome:
    with _load(stack, rate, seconds) as load:
        time.sleep(BEFORE_S)
        stack.kill_models()
        answers = load.answers()
    stack.models.start()
    return _outcome(stack, answers)


def store_killed(stack: Stack, rate: float, seconds: float) -> Outcome:
    """Killed and started again under the load; what was shown meanwhile reaches the log afterwards."""
    with _load(stack, rate, seconds) as load:
        time.sleep(BEFORE_S)
        stack.store.terminate()
        time.sleep(BEFORE_S)
        stack.store.start()
        answers = load.answers()
    return _outcome(stack, answers)


def ranker_stalled(stack: Stack, rate: float, seconds: float) -> Outcome:
    """The model server is stopped for two seconds: it neither answers nor refuses."""
    with _load(stack, rate, max(seconds, BEFORE_S + STALL_S)) as load:
        time.sleep(BEFORE_S)
        kill(stack.models.pid, signal.SIGSTOP)
        time.sleep(STALL_S)
        kill(stack.models.pid, signal.SIGCONT)
        answers = load.answers()
    return _outcome(stack, answers)


def release_swapped(stack: Stack, rate: float, seconds: float) -> Outcome:
    with _load(stack, rate, seconds) as load:
        time.sleep(BEFORE_S)
        version = copy_release(stack.registry)
        stack.registry.make_current(version)
        answers = load.answers()
    stack.wait_until_served(version)
    return _outcome(stack, answers, f"release {version} is served")


def newest_bundle_corrupt(stack: Stack, rate: float, seconds: float) -> Outcome:
    """A release with one changed byte is made the current one; afterwards the good one is again."""
    good = stack.registry.current()
    assert good is not None
    with _load(stack, rate, seconds) as load:
        time.sleep(BEFORE_S)
        version = copy_release(stack.registry)
        _change_a_byte(stack.registry.bundle(version) / "index" / "vectors.npy")
        stack.registry.make_current(version)
        answers = load.answers()
    stack.wait_for_line(f"release {version} is refused")
    stack.registry.make_current(good)
    return _outcome(stack, answers, f"release {version} is refused, {good} stays")


def disk_full(stack: Stack, rate: float, seconds: float) -> Outcome:
    """The store is gone, and the disk takes no byte of what is to be kept for it meanwhile."""
    with _load(stack, rate, seconds) as load, _no_file_may_grow(stack.gateway.pid):
        time.sleep(BEFORE_S)
        stack.store.terminate()
        answers = load.answers()
    stack.store.start()
    return _outcome(stack, answers)


FAULTS: Mapping[str, Callable[[Stack, float, float], Outcome]] = {
    "model server killed": model_server_killed,
    "store killed and restarted": store_killed,
    "ranker stalled for 2 s": ranker_stalled,
    "release swapped": release_swapped,
    "newest bundle corrupt": newest_bundle_corrupt,
    "store gone and disk full": disk_full,
}


def _load(stack: Stack, rate: float, seconds: float) -> Load:
    return Load(stack.traffic(rate, seconds, event_share=EVENT_SHARE))


def _summary(answers: Sequence[Answer]) -> dict[str, object]:
    return {
        "sent": len(answers),
        "answered": sum(answer.status == 200 for answer in answers),
        "not_200": dict(Counter(answer.status for answer in answers if answer.status != 200)),
        "p50_ms": round(percentile_ms(answers, 50), 1),
        "max_ms": round(percentile_ms(answers, 100), 1),
    }


def _outcome(stack: Stack, answers: list[Answer], note: str = "") -> Outcome:
    """Once all is cured."""
    return Outcome(answers, stack.wait_until_well(), stack.wait_for_log(answers), note)


def copy_release(registry: Registry) -> int:
    """A release of the newest number with the current one's content, not made current yet."""
    current, version = registry.current(), registry.next_version()
    assert current is not None
    for model in MODELS:
        partial = registry.folder / f".{model}-{version}"
        shutil.copytree(registry.model(model, current), partial)
        partial.rename(registry.model(model, version))
    shutil.copytree(registry.bundle(current), registry.bundle(version))
    manifest = json.loads((registry.bundle(version) / MANIFEST_FILE).read_text())
    files = {name.replace(f"/{current}/", f"/{version}/", 1): digest for name, digest in manifest["files"].items()}
    (registry.bundle(version) / MANIFEST_FILE).write_text(json.dumps({**manifest, "version": version, "files": files}))
    return version


def _change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@contextmanager
def _no_file_may_grow(pid: int) -> Iterator[None]:
    """What a full disk is to one process: every write to a file fails, at once and until there is room again."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
