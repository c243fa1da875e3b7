from pathlib import Path

import numpy as np
import pytest

from components.errors import ArtifactError
from components.item_to_item.neighbours import Block, Neighbours, join_blocks

# With 0 go 1 (0.9), 2 (0.3) and 4 (-0.5), with 2 goes 3 (0.8), with 3 go 2 (0.8) and 4 (0.25).
TABLE = [[(1, 0.9), (2, 0.25), (4, -0.5)], [], [(3, 0.75)], [(2, 0.75), (4, 0.25)], []]


def block(first: int, rows: list[list[tuple[int, float]]]) -> Block:
    flat = [each for row in rows for each in row]
    item, score = np.array([item for item, _ in flat], np.int32), np.array([score for _, score in flat], np.float32)
    return Block(first, np.array([len(row) for row in rows]), item, score)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Of five items, in blocks of two rows, of which the last holds no neighbours and was never made."""
    (tmp_path / "blocks").mkdir()
    for first in (2, 0):
        block(first, TABLE[first : first + 2]).save(tmp_path / "blocks")
    join_blocks(tmp_path / "blocks", tmp_path / "table", 5)
    return tmp_path / "table"


def test_blocks_become_one_table(table: Path) -> None:
    found = Neighbours.load(table, 5)
    assert found.start.tolist() == [0, 3, 3, 4, 6, 6]
    assert found.item.tolist() == [1, 2, 4, 3, 2, 4]
    assert found.score.tolist() == [np.float32(0.9), 0.25, -0.5, 0.75, 0.75, 0.25]


def test_a_history_is_added_up(table: Path) -> None:
    """Of 3 and 0: item 2 has 0.75 + 0.25 = 1, item 1 0.9, item 4 0.25 - 0.5 < 0. An item counts as often as it is there."""
    found = Neighbours.load(table, 5)
    assert found.similar(np.array([3, 0, -1, 9], np.int32)).tolist() == [2, 1]
    assert found.similar(np.array([3, 3, 3, 0], np.int32)).tolist() == [2, 1, 4]
    assert found.similar(np.array([1], np.int32)).tolist() == []
    assert found.similar(np.array([-1, 9], np.int32)).tolist() == []


def test_a_large_catalogue_gives_the_same_and_ties_go_by_row() -> None:
    """Where few rows are reached they are sorted, else all are gone through."""
    small = Neighbours(np.array([0, 4, 4, 4, 4, 4, 4]), np.array([5, 2, 4, 3], np.int32), np.array([1, 1, 2, 1], np.float32))
    large = Neighbours(np.concatenate([small.start, np.full(1_000, 4)]), small.item, small.score)
    assert small.similar(np.zeros(1, np.int32)).tolist() == large.similar(np.zeros(1, np.int32)).tolist() == [4, 2, 3, 5]


def test_no_neighbours_at_all(tmp_path: Path) -> None:
    join_blocks(tmp_path, tmp_path / "table", 3)
    assert Neighbours.load(tmp_path / "table", 3).similar(np.arange(3, dtype=np.int32)).tolist() == []


def test_a_table_that_does_not_fit_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds neighbours of 5 items, 6 with 6 scores, .* wanted those of 4 items; run"):
        Neighbours.load(table, 4)
    with pytest.raises(ArtifactError, match=r"nowhere: holds no readable item-to-item table \(.*\); run the pipeline again"):
        Neighbours.load(tmp_path / "nowhere", 5)
    content = (table / "score.npy").read_bytes()
    (table / "score.npy").write_bytes(content[:-4])
    with pytest.raises(ArtifactError, match=r"holds no readable item-to-item table"):
        Neighbours.load(table, 5)
