"""The command line: one writer, until it is told to end."""

import argparse
import json
import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from components.errors import WinnowError
from serving.ending import Ending, ending_by_order
from serving.log_writer.group import WriterGroup
from serving.log_writer.online_log import OnlineLog
from serving.log_writer.settings import LogWriterSettings
from serving.log_writer.writer import LogWriter
from serving.store_client import with_password

FOLDER = "online-log"
RECENT_COUNT = 100_000  # at a hundred lists of ten a second those of the last minutes; what is sent again comes within seconds
_DEFAULTS = LogWriterSettings()
_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write until SIGTERM or SIGINT, then what is gathered; the exit status. Prints one JSON line on stdout when it begins."""
    parser = _parser()
    flags = parser.parse_args(arguments)
    try:
        settings = LogWriterSettings(
            max_entries=flags.max_entries, max_wait_s=flags.max_wait_s, claim_after_s=flags.claim_after_s
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        parser.error("".join(f"--{key}: " for key in wrong["loc"]) + wrong["msg"])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        _write(flags, settings, ending_by_order(flags.stop_when_stdin_closes))
    except WinnowError as error:
        print(f"log writer: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _write(flags: argparse.Namespace, settings: LogWriterSettings, ending: Ending) -> None:
    with closing(WriterGroup(with_password(flags.store_url, os.environ), flags.consumer)) as group:
        writer = LogWriter(group, OnlineLog(flags.workdir / FOLDER, RECENT_COUNT), settings)
        print(json.dumps({"pid": os.getpid()}), flush=True)
        try:
            writer.run(ending)
        finally:
            _log.info("%s entries written, %s of them no records; %s repeated, %s lost", *_counts(writer))


def _counts(writer: LogWriter) -> tuple[int, int, int, int]:
    return writer.written_count, writer.rejected_count, writer.repeated_count, writer.lost_count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.log_writer", description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True, help=f"{FOLDER}/ is written in it")
    parser.add_argument("--store_url", required=True, help="of the Valkey or Redis that holds the event stream")
    parser.add_argument(
        "--consumer", default=socket.gethostname(), help="this writer's name; each of several needs its own, and keeps it"
    )
    parser.add_argument("--max_entries", type=int, default=_DEFAULTS.max_entries, help="that are gathered for a file")
    parser.add_argument("--max_wait_s", type=float, default=_DEFAULTS.max_wait_s, help="until a smaller file is written")
    parser.add_argument(
        "--claim_after_s", type=float, default=_DEFAULTS.claim_after_s, help="until a silent writer's entries are taken over"
    )
    parser.add_argument("--stop_when_stdin_closes", action="store_true", help="end with the process that started this one")
    return parser
