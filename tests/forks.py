"""Processes that begin at once: forks of one that has imported what takes seconds, and has done nothing else."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from typing import Any

_context = multiprocessing.get_context("forkserver")


def forked(modules: Sequence[str], target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A running process that calls ``target``; the first call of all decides on the ``modules`` that are there already."""
    _context.set_forkserver_preload(list(modules))
    process = _context.Process(target=target, args=arguments)
    process.start()
    return process
