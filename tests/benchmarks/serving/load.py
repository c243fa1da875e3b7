"""Load on a gateway from a process of its own, open loop: each request leaves when the schedule says so.

A latency counts from the scheduled moment and not from the moment of sending, so that every request that a stall delays
pays for it (coordinated omission, as Gil Tene calls its neglect). HTTP is spoken over bare asyncio streams: client and
servers share the machine's cores, and a client library would take milliseconds of them for each request.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
ANSWER_WITHIN_S = 30.0


@dataclass(frozen=True)
class Traffic:
    """What is asked of whom.

    Attributes:
      rate: requests a second, at Poisson's intervals or, if ``even``, at equal ones, as most load generators send them.
      users: who may ask; items: what they may click on.
      event_share: of the requests, those that report ``events_at_once`` events of one user; the others ask for ``count`` items.
    """

    port: int
    rate: float
    seconds: float
    users: Sequence[str]
    items: Sequence[str] = ()
    event_type: str = ""
    event_share: float = 0.0
    events_at_once: int = 1
    count: int = 10
    seed: int = 0
    even: bool = False


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    Attributes:
      kind: ``recommend`` or ``events``.
      scheduled_s: since the load began; latency_ms: from then on.
      status: of HTTP; 0 where the connection broke or nothing came.
      items: how many were recommended.
      records: ids of what the online log owes us for a 200: the request's, of its list, or those of the events.
    """

    kind: str
    scheduled_s: float
    latency_ms: float
    status: int
    items: int = 0
    release: int = 0
    fallbacks: tuple[str, ...] = ()
    records: tuple[str, ...] = ()


class Load:
    """A load under way; ``answers`` waits for its end.

    Example::

        with Load(traffic) as load:
            break_something()
            answers = load.answers()
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.benchmarks.serving.load"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(self._traffic)) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "begun\n", "the load generator has ended before it began"
        return self

    def answers(self) -> list[Answer]:
        text, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the load generator ended with status {self._process.returncode}")
        return [
            Answer(**{**one, "fallbacks": tuple(one["fallbacks"]), "records": tuple(one["records"])})
            for one in json.loads(text)
        ]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def answers_to(traffic: Traffic) -> list[Answer]:
    with Load(traffic) as load:
        return load.answers()


def percentile_ms(answers: Sequence[Answer], percent: float) -> float:
    return float(np.percentile([answer.latency_ms for answer in answers], percent))


def fallbacks_of(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(fallback for answer in answers for fallback in answer.fallbacks)


def _bodies(traffic: Traffic) -> list[tuple[float, str, bytes, tuple[str, ...]]]:
    """Moment in s, kind and body of every request, and the ids of the events in it."""
    rng = random.Random(traffic.seed)
    made = []
    moment = 0.0
    while (moment := moment + (1 / traffic.rate if traffic.even else rng.expovariate(traffic.rate))) < traffic.seconds:
        body: dict[str, Any] = {"user_id": rng.choice(traffic.users), "count": traffic.count}
        ids: tuple[str, ...] = ()
        kind = "events" if rng.random() < traffic.event_share else "recommend"
        if kind == "events":
            ids = tuple(uuid.uuid4().hex for _ in range(traffic.events_at_once))  # which no other load on the gateway has
            events = [
                {
                    "event_id": event_id,
                    "user_id": body["user_id"],
                    "item_id": rng.choice(traffic.items),
                    "type": traffic.event_type,
                    "timestamp_ms": time.time_ns() // 1_000_000,
                }
                for event_id in ids
            ]
            body = {"events": events}
        made.append((moment, kind, json.dumps(body).encode(), ids))
    return made


class _Connections:
    """Kept alive and used again; as many as requests are under way at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        self._idle = [one for one in self._idle if not one[0].at_eof()]  # the server closes those that are idle for long
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next(int(line.removeprefix("content-length:")) for line in lines if line.startswith("content-length:"))
        answer = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(lines[0].split()[1]), answer


async def _run(traffic: Traffic) -> list[Answer]:
    connections = _Connections(traffic.port)
    bodies = _bodies(traffic)
    started = time.monotonic()

    async def ask(moment: float, kind: str, body: bytes, event_ids: tuple[str, ...]) -> Answer:
        await asyncio.sleep(started + moment - time.monotonic())
        try:
            status, text = await asyncio.wait_for(connections.post(f"/v1/{kind}", body), ANSWER_WITHIN_S)
        except (OSError, EOFError, TimeoutError):
            status, text = 0, b""
        latency_ms = (time.monotonic() - started - moment) * 1000
        if status != 200:
            return Answer(kind, moment, latency_ms, status)
        if kind == "events":
            return Answer(kind, moment, latency_ms, status, records=event_ids)
        reply = json.loads(text)
        shown = len(reply["items"]), reply["release"], tuple(reply["fallbacks"]), (reply["request_id"],)
        return Answer(kind, moment, latency_ms, status, *shown)

    return await asyncio.gather(*(ask(*one) for one in bodies))


def main() -> None:
    traffic = Traffic(**json.loads(sys.stdin.readline()))
    print("begun", flush=True)
    print(json.dumps([asdict(answer) for answer in asyncio.run(_run(traffic))]))


if __name__ == "__main__":
    main()
