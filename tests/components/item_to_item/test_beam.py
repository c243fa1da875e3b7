"""The steps on Beam's runner: the same table however users are dealt to files and rows to blocks."""

from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config import CosineSettings, EaseSettings
from components.errors import DataError, raised_as_ours
from components.item_to_item.beam import find_neighbours
from components.item_to_item.neighbours import Neighbours, join_blocks

ITEMS = 30


@pytest.fixture(scope="module")
def interactions() -> pa.Table:
    """Of 40 users; an even one has even items, an odd one odd items, all but one of them."""
    rows = [
        {"user_id": f"u{user}", "item_index": item, "timestamp_ms": 1_000 * user + item}
        for user in range(40)
        for item in range(user % 2, ITEMS, 2)
        if item != lacking(user)
    ]
    return pa.Table.from_pylist(rows, pa.schema({"user_id": "string", "item_index": pa.int32(), "timestamp_ms": pa.int64()}))


def lacking(user: int) -> int:
    return user % 2 + 2 * (user // 2 % 15)


def made(
    interactions: pa.Table, folder: Path, files: int, rows_per_block: int, settings: CosineSettings | EaseSettings
) -> Neighbours:
    paths = []
    group = np.array([int(user[1:]) % files for user in interactions.column("user_id").to_pylist()])
    (folder / "interactions").mkdir(parents=True)
    for number in range(files):
        paths.append(folder / "interactions" / f"{number}.parquet")
        pq.write_table(interactions.filter(pa.array(group == number)), paths[-1])
    with raised_as_ours(), beam.Pipeline("FnApiRunner") as pipeline:
        find_neighbours(pipeline, settings, paths, ITEMS, folder / "blocks", rows_per_block)
    join_blocks(folder / "blocks", folder / "table", ITEMS)
    return Neighbours.load(folder / "table", ITEMS)


@pytest.mark.parametrize("settings", [CosineSettings(), EaseSettings(l2=5), CosineSettings(max_user_items=7, neighbours=4)])
def test_a_checkerboard_is_solved_however_it_is_cut(
    interactions: pa.Table, tmp_path: Path, settings: CosineSettings | EaseSettings
) -> None:
    """To each user goes the item of their colour that they lack, and none of the other colour."""
    whole = made(interactions, tmp_path / "whole", 1, ITEMS, settings)
    cut = made(interactions, tmp_path / "cut", 6, 8, settings)
    for one, other in ((whole.start, cut.start), (whole.item, cut.item), (whole.score, cut.score)):
        np.testing.assert_array_equal(one, other)
    if settings.max_user_items > ITEMS:
        for user in range(40):
            had = np.array([item for item in range(user % 2, ITEMS, 2) if item != lacking(user)], np.int32)
            found = whole.similar(had)
            assert found[~np.isin(found, had)].tolist() == [lacking(user)]


def test_the_refusal_comes_out_of_the_worker(interactions: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found 30 items with training events, wanted at most 10"):
        made(interactions, tmp_path, 2, 8, EaseSettings(max_items=10))
