"""What is true of impressions that a pipeline has made samples of, and of whatever else could have been shown."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.datasets.synthetic.behaviour import EXAMINATION_PROB
from components.datasets.synthetic.config import SyntheticConfig
from components.datasets.synthetic.generate import config_text
from components.datasets.synthetic.tables import ids
from components.datasets.synthetic.users import DEVICES
from components.datasets.synthetic.world import make_world, true_preference
from components.errors import DataError

IMPRESSION = ("user_id", "item_id", "timestamp_ms")  # a user is shown one list at a time, and an item once in it
USERS_AT_ONCE = 500


class ClickProbs(NamedTuple):
    """float32 [n] each: at the position that the item was shown at, and the mean over all positions.

    The second is no bound for those who are not told the position: what was liked was shown higher, so they can foretell it.
    """

    at_position: NDArray[np.float32]
    at_any_position: NDArray[np.float32]


def true_click_probs(folder: Path, impressions: pa.Table) -> ClickProbs:
    """The probability that an impression is clicked on.

    Args:
      folder: of a simulation, as ``generate`` has written it with its truth.
      impressions: `IMPRESSION`, n of the simulation's.

    Raises:
      DataError: the folder has no truth, or an impression is none of the simulation's or cannot be told from another.
    """
    if not (folder / "truth").is_dir():
        raise DataError(f"{folder}: holds no truth; wanted a simulation with it, as `winnow data synthetic --truth` makes")
    events = pq.read_table(folder / "events", columns=["event_id", "device", *IMPRESSION])
    once = events.group_by(events.column_names).aggregate([])  # an event's repeats are alike
    shown = once.join(pq.read_table(folder / "truth"), "event_id", join_type="inner")  # of clicks there is none
    values = ("click_prob", "preference", "device")
    of_each = shown.group_by(IMPRESSION).aggregate([("event_id", "count"), *((name, "min") for name in values)])
    numbered = impressions.select(IMPRESSION).append_column("place", pa.array(np.arange(len(impressions))))
    found = numbered.join(of_each, list(IMPRESSION)).sort_by("place")
    count = found.column("event_id_count").fill_null(0)
    if pc.any(pc.not_equal(count, 1)).as_py():
        one = found.filter(pc.not_equal(count, 1)).slice(0, 1).to_pylist()[0]
        wanted = ", ".join(f"{name} {one[name]}" for name in IMPRESSION)
        raise DataError(
            f"{folder}: found {one['event_id_count'] or 0} impressions of {wanted}, wanted exactly one; "
            "take samples of this very simulation"
        )
    device = pc.index_in(found.column("device_min"), pa.array(DEVICES)).to_numpy()
    return ClickProbs(
        found.column("click_prob_min").to_numpy(),
        found.column("preference_min").to_numpy() * EXAMINATION_PROB.mean(axis=1)[device],
    )


def true_preferences(
    folder: Path, user_ids: Sequence[str], moments_ms: NDArray[np.int64], item_ids: Sequence[str]
) -> NDArray[np.float32]:
    """The probability that each of n users, looking at an item at that moment, clicks on it: float32 [n, items].

    It is 0 where the item is not there at the moment, as none can look at it.

    Args:
      folder: of a simulation, as ``generate`` has written it.
      user_ids: n; moments_ms: int64 [n] UTC, within the period.

    Raises:
      DataError: the folder holds no simulation, or an id is none of its.
    """
    text = config_text(folder)
    if text is None:
        raise DataError(f"{folder}: holds no simulation, which `winnow data synthetic` makes")
    config = SyntheticConfig.from_dict(json.loads(text))
    world = make_world(config)
    user = _numbers(folder, "u", user_ids, config.user_count)
    item = _numbers(folder, "i", item_ids, config.item_count)
    created_ms, dies_ms = world.items.created_ms[item], world.items.dies_ms[item]
    wanted = np.empty((len(user), len(item)), np.float32)
    for start in range(0, len(user), USERS_AT_ONCE):
        some = slice(start, start + USERS_AT_ONCE)
        time_ms = moments_ms[some, np.newaxis]
        there = (created_ms <= time_ms) & (time_ms < dies_ms)
        wanted[some] = true_preference(world, user[some], item[np.newaxis], moments_ms[some]) * there
    return wanted


def _numbers(folder: Path, prefix: str, found: Sequence[str], count: int) -> NDArray[np.int64]:
    """The numbers that ids are made of."""
    numbers = pc.index_in(pa.array(found, pa.string()), ids(prefix, np.arange(count), count))
    if numbers.null_count:
        unknown = found[numbers.is_null().index(True).as_py()]
        raise DataError(f"{folder}: found the id {unknown!r}, wanted one of the simulation's")
    return numbers.to_numpy().astype(np.int64)
