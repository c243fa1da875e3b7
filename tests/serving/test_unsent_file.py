"""The file of unsent records: what is in it after a crash at each of its steps."""

import os
from pathlib import Path

from serving.unsent_file import UnsentFile


def reopened(file: UnsentFile) -> UnsentFile:
    """As the next process finds it after this one died."""
    file.close()
    again = UnsentFile(file.path)
    again.look()
    return again


def test_lines_come_out_in_their_order_and_the_file_goes_with_the_last(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path / "unsent")
    assert file.put([b"a", b"b", b"c"]) == 3
    file.forget(file.first(2))
    file.put([b"d"])
    assert (file.first(9).lines, file.count) == ((b"c", b"d"), 2)
    file.forget(file.first(9))
    assert (file.first(9).lines, file.count) == ((), 0)
    assert {path.name for path in tmp_path.iterdir()} == {"unsent.lock"}


def test_a_death_between_sending_and_forgetting_repeats_that_batch_alone(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path / "unsent")
    file.put([b"a", b"b", b"c", b"d", b"e"])
    file.forget(file.first(2))
    assert file.first(2).lines == (b"c", b"d")  # sent, and no more said
    file = reopened(file)
    assert (file.first(2).lines, file.count) == ((b"c", b"d"), 3)
    file.forget(file.first(2))
    file = reopened(file)
    assert (file.first(2).lines, file.count) == ((b"e",), 1)


def test_a_death_while_the_file_is_removed_passes_over_nothing_that_comes_later(tmp_path: Path) -> None:
    """It is empty, and beside it still stands how much of it was sent."""
    file = UnsentFile(tmp_path / "unsent")
    file.put([b"a", b"b"])
    file.forget(file.first(1))
    os.truncate(file.path, 0)
    file = reopened(file)
    file.put([b"c", b"d", b"e"])
    file = reopened(file)
    assert (file.first(9).lines, file.count) == ((b"c", b"d", b"e"), 3)


def test_a_write_that_was_cut_short_spoils_no_later_one(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path / "unsent")
    file.put([b"a"])
    with file.path.open("ab") as cut:
        cut.write(b"ha")
    assert file.first(9).lines == (b"a",)
    file = reopened(file)
    file.put([b"b"])
    assert file.path.read_bytes() == b"a\nb\n"


def test_lines_for_which_there_is_no_room_are_not_taken(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path / "unsent", max_bytes=7)
    assert file.put([b"aa", b"bb", b"cc"]) == 2
    assert file.put([b"c"]) == 0
    file.forget(file.first(9))
    assert file.put([b"c"]) == 1


def test_lines_that_somebody_takes_away_are_counted(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path / "unsent")
    file.put([b"a", b"b"])
    file.path.unlink()
    file.put([b"c"])
    assert (file.first(9).lines, file.count, file.vanished_count) == ((b"c",), 1, 2)
