"""Tests that take minutes where a quicker one tells nearly as much: they run where FULL=1 asks for them."""

import os

import pytest


def full(took: str) -> pytest.MarkDecorator:
    """Args: took: how long, for who reads what was skipped."""
    return pytest.mark.skipif(not os.environ.get("FULL"), reason=f"takes {took}: FULL=1 runs it")
