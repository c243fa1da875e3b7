from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from components.datasets.synthetic import SyntheticConfig, World, make_world
from components.datasets.synthetic.behaviour import EventBlock
from components.datasets.synthetic.simulate import simulate


def run(world: World) -> EventBlock:
    """All events of a small world as one block."""
    blocks = list(simulate(world))
    return EventBlock(
        **{each.name: np.concatenate([getattr(block, each.name) for block in blocks]) for each in fields(EventBlock)}
    )


@pytest.fixture(scope="session")
def run_world() -> Callable[[World], EventBlock]:
    return run


@pytest.fixture(scope="session")
def world() -> World:
    return make_world(SyntheticConfig(events=200_000, seed=7, duplicate_share=0.01))


@pytest.fixture(scope="session")
def events(world: World) -> EventBlock:
    return run(world)
