from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.datasets.sequences import EVENTS_FILE, FIRST_S, ITEMS_FILE, convert
from components.errors import DataError

PAIRS, LISTS = "1 7\n1 9\n2 9\n1 8\n", "1 7 9 8\n2 9\n"


@pytest.mark.parametrize("text", [PAIRS, LISTS])
def test_both_forms_keep_the_order(tmp_path: Path, text: str) -> None:
    (tmp_path / "had.txt").write_text(text)
    (tmp_path / "attributes.json").write_text('{"9": [3, 4]}')
    said: list[str] = []
    folder = convert(tmp_path / "had.txt", tmp_path / "attributes.json", tmp_path / "made", said.append)
    events = sorted(pq.read_table(folder / EVENTS_FILE).to_pylist(), key=lambda row: (row["user_id"], row["timestamp"]))
    found = [(row["user_id"], row["item_id"], row["timestamp"] - FIRST_S) for row in events]
    assert found == [("1", "7", 0), ("1", "9", 1), ("1", "8", 2), ("2", "9", 0)]
    items = {row["item_id"]: row["attributes"] for row in pq.read_table(folder / ITEMS_FILE).to_pylist()}
    assert items == {"7": [], "8": [], "9": ["3", "4"]}
    assert said == ["4 interactions of 2 users with 3 items"]


@pytest.mark.parametrize(("text", "line", "found"), [("1 7\n2\n", 2, "'2'"), ("1 7\n\n", 2, "''")])
def test_a_line_without_an_item(tmp_path: Path, text: str, line: int, found: str) -> None:
    (tmp_path / "had.txt").write_text(text)
    with pytest.raises(DataError, match=f"had.txt: line {line}: found {found}, wanted a user and items, by spaces"):
        convert(tmp_path / "had.txt", None, tmp_path / "made", print)
    assert [path.name for path in tmp_path.iterdir()] == ["had.txt"]  # nothing that could be taken for whole


def test_attributes_of_another_form(tmp_path: Path) -> None:
    (tmp_path / "had.txt").write_text(PAIRS)
    (tmp_path / "attributes.json").write_text("[1]")
    with pytest.raises(DataError, match=r"attributes.json: found no JSON object of lists, wanted item → list"):
        convert(tmp_path / "had.txt", tmp_path / "attributes.json", tmp_path / "made", print)
