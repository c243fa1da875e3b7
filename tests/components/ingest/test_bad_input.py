"""What is wrong with the user's data is said in one message: the file, the key, what was found, what was wanted."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import DataError
from components.ingest.files import parts
from components.schema.catalogue import ITEMS_FILE
from components.schema.events import SUMMARY_FILE

DAY = 1_704_067_200  # 2024-01-01


@pytest.fixture
def refusal(tmp_path: Path, run_ingest: Callable) -> Callable[..., str]:
    """The message of a run that has to stop, with the files' folder left out of it."""

    def run(*args: object, **more: object) -> str:
        with pytest.raises(DataError) as error:
            run_ingest(*args, **more)
        return str(error.value).replace(f"{tmp_path}/", "")

    return run


@pytest.fixture(autouse=True)
def _nothing_looks_complete(tmp_path: Path):
    """After each test here: no marker of a whole log, no catalogue, and no file under its name but half-written."""
    yield
    assert not (tmp_path / "log" / SUMMARY_FILE).exists()
    assert not (tmp_path / "catalogue" / ITEMS_FILE).exists()
    assert not list(tmp_path.glob("log/*/.part-*"))
    for path in tmp_path.glob("log/**/*.parquet"):
        pq.read_metadata(path)


def test_missing_file(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    assert refusal(dataset()) == (
        "dataset.events.path: found no file at events.csv; wanted a file, a folder of files, or a pattern with *"
    )


def test_a_pattern_that_matches_nothing(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    assert "found no file at part-*.csv" in refusal(dataset({"path": "part-*.csv"}))


@pytest.mark.parametrize("header", ["", "user,item,time\n"])
def test_empty_file(tmp_path: Path, dataset: Callable, refusal: Callable, header: str) -> None:
    (tmp_path / "events.csv").write_text(header)
    wanted = {
        "": "events.csv (dataset.events): is empty; wanted a CSV file whose first line names its columns",
        "user,item,time\n": "events.csv: holds no events (dataset.events.path)",
    }
    assert refusal(dataset()) == wanted[header]


def test_empty_json_lines(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "e.jsonl").write_text("")
    assert refusal(dataset({"path": "e.jsonl", "format": "jsonl"})) == (
        "e.jsonl: cannot be read as jsonl (Empty JSON file); wanted one object a line, and a key of one type "
        "in all of them; check dataset.events.format"
    )


def test_binary_garbage(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_bytes(bytes(range(256)) * 40)
    message = refusal(dataset())
    assert message.startswith("events.csv (dataset.events): cannot be read as UTF-8 CSV: ")
    assert message.endswith("check dataset.events.format")


def test_garbage_after_a_good_header(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_bytes(b"user,item,time\n" + b"u,1,1704067200\n" * 1000 + b"u\xff,1,1\n")
    message = refusal(dataset())
    assert message.startswith("events.csv: cannot be read as csv (")
    assert "UTF8" in message
    assert message.endswith("check dataset.events.format, dataset.events.delimiter and dataset.events.quote")


def test_no_parquet(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "e.parquet").write_text("user,item,time\n")
    message = refusal(dataset({"path": "e.parquet", "format": "parquet"}))
    assert message.startswith("e.parquet: cannot be read as parquet (")
    assert message.endswith("check dataset.events.format, or write the file again")


def test_wrong_delimiter(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user;item;time\nu;1;{DAY}\n")
    assert refusal(dataset()) == (
        "events.csv: dataset.events.columns.user_id names the column 'user', which is not there; found "
        "'user;item;time', the only one when the lines are cut at ',': check dataset.events.delimiter"
    )


@pytest.mark.parametrize("beam_args", [[], ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]])
def test_a_column_that_is_not_there(tmp_path: Path, dataset: Callable, refusal: Callable, beam_args: list[str]) -> None:
    """The same words when a worker behind gRPC meets it, and the runner turns the error into text."""
    (tmp_path / "events.csv").write_text(f"user,sku,time\nu,1,{DAY}\n")
    assert refusal(dataset(), beam_args=beam_args) == (
        "events.csv: dataset.events.columns.item_id names the column 'item', which is not there; found 'user', 'sku', 'time'"
    )


def test_a_column_that_is_there_twice(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time,item\nu,1,{DAY},2\n")
    assert "names the column 'item', which is there 2 times" in refusal(dataset())


def test_seconds_read_as_milliseconds(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    """1,704,067,200 ms after 1970-01-01 is 1970-01-20."""
    (tmp_path / "events.csv").write_text(f"user,item,time\nu,1,{DAY}\n")
    assert refusal(dataset({"timestamp_unit": "ms"})) == (
        f"events.csv: no 'time' of the first 1 rows can be read as ms (dataset.events.timestamp_unit) between "
        f"1990 and 2100; found '{DAY}', which would fit as s (2024-01-01)"
    )


def test_milliseconds_read_as_seconds(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    """1,704,067,200,000 s after 1970-01-01 lies in the year 55,970."""
    pq.write_table(pa.table({"user": ["u"], "item": ["i"], "time": [DAY * 1000]}), tmp_path / "e.parquet")
    assert refusal(dataset({"path": "e.parquet", "format": "parquet"})) == (
        f"e.parquet: no 'time' of the first 1 rows can be read as s (dataset.events.timestamp_unit) between "
        f"1990 and 2100; found {DAY * 1000}, which would fit as ms (2024-01-01)"
    )


def test_moments_written_in_the_wrong_unit(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    """A typed column in the year 55,970, which Python's own dates do not reach."""
    moments = pa.array([DAY * 1000], pa.timestamp("s"))
    pq.write_table(pa.table({"user": ["u"], "item": ["i"], "time": moments}), tmp_path / "e.parquet", version="2.6")
    with_unit = pq.read_schema(tmp_path / "e.parquet").field("time").type
    stored = DAY * 1000 * (1000 if with_unit.unit == "ms" else 1)  # Parquet has no seconds
    fitting = "us" if with_unit.unit == "ms" else "ms"
    assert refusal(dataset({"path": "e.parquet", "format": "parquet"})) == (
        f"e.parquet: no 'time' of the first 1 rows lies between 1990 and 2100; found {stored} in a column of type "
        f"{with_unit}, whose numbers would fit as {fitting} (2024-01-01): write the column with that unit"
    )


def test_one_moment_out_of_all_years_is_a_reject(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    moments = pa.array([DAY * 1000, DAY * 1_000_000], pa.timestamp("ms"))
    pq.write_table(pa.table({"user": ["u", "u"], "item": ["i", "i"], "time": moments}), tmp_path / "e.parquet")
    message = refusal(dataset({"path": "e.parquet", "format": "parquet", "max_reject_share": 0.1}))
    assert "1 of 2 rows (50.0%) do not fit" in message
    assert f'"time": {DAY * 1_000_000}' in message


def test_dates_read_as_numbers(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text("user,item,time\nu,1,2024-01-01\n")
    assert refusal(dataset()).endswith("found '2024-01-01', which would fit as iso8601 (2024-01-01)")


def test_times_that_are_none(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text("user,item,time\nu,1,noon\n")
    assert refusal(dataset()).endswith("found 'noon', which fits as none of s, ms, us, ns, iso8601")


def test_too_many_rejects(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    rows = [f"u{row},1,{DAY}" for row in range(8)] + [f",1,{DAY}", "u,1,then"]
    (tmp_path / "events.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    assert refusal(dataset({"max_reject_share": 0.15})) == (
        "events.csv: 2 of 10 rows (20.0%) do not fit, more than dataset.events.max_reject_share allows "
        "(15.0%). user_id is empty: 1; timestamp cannot be read as s: 1. The first: events.csv row 9: "
        '{"user": null, "item": "1", "time": "1704067200"}; correct the rows or dataset.events, or raise that share; '
        "all are in log/rejects.parquet"
    )


def test_every_row_refused_though_all_may_be(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\n,1,{DAY}\n")
    message = refusal(dataset({"max_reject_share": 1.0}))
    assert "1 of 1 rows (100.0%) do not fit, and none is left. user_id is empty: 1." in message


def test_ids_that_are_integers_in_one_file_and_floats_in_another(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events").mkdir()
    for name, items in (("a", pa.array([1, 2])), ("b", pa.array([1.0, None]))):
        pq.write_table(
            pa.table({"user": ["u", "v"], "item": items, "time": [DAY, DAY]}), tmp_path / "events" / f"{name}.parquet"
        )
    assert refusal(dataset({"path": "events", "format": "parquet"})) == (
        "events/b.parquet: dataset.events.columns.item_id is a column of type double; wanted text or "
        "integers, since ids are compared letter by letter: write the column as one of these (pandas makes floats of "
        "integers with gaps; its type Int64 does not)"
    )


def test_json_lines_with_ids_of_two_types(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "e.jsonl").write_text(f'{{"user":"u","item":1,"time":{DAY}}}\n{{"user":"u","item":"1","time":{DAY}}}\n')
    assert refusal(dataset({"path": "e.jsonl", "format": "jsonl"})) == (
        "e.jsonl: cannot be read as jsonl (JSON parse error: Column(/item) changed from number to string in row "
        "1); wanted one object a line, and a key of one type in all of them; check dataset.events.format"
    )


def test_ids_of_items_that_are_never_those_of_events(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\nu,1.0,{DAY}\n")
    (tmp_path / "items.csv").write_text("id\n1\n2\n")
    assert refusal(dataset(items={"path": "items.csv", "id": "id"})) == (
        "items.csv: none of its 2 ids (dataset.items.id: 'id') is the item of an event; found ids like '1', "
        "while the events have ids like '1.0'; wanted the same ids, written alike: correct dataset.items.id or "
        "dataset.events.columns.item_id"
    )


def test_ids_of_users_that_are_never_those_of_events(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\nu-1,1,{DAY}\n")
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "users.parquet")
    message = refusal(dataset(users={"path": "users.parquet", "format": "parquet", "id": "id"}))
    assert "none of its 2 ids (dataset.users.id: 'id') is the user of an event; found ids like '1', while" in message


@pytest.mark.parametrize(
    ("content", "feature", "wanted"),
    [
        ("id,price\n1,a lot\n2,few\n3,1\n", {"kind": "number"},
         "dataset.items.features.x has kind number, but 2 of 3 values are none, such as 'a lot'; correct the kind,"),
        ("id,price\n1,2024\n", {"kind": "timestamp"}, "has kind timestamp, but 1 of 1 values are none, such as '2024'"),
        ("id,cost\n1,2\n", {"kind": "number"}, "features.x.column names the column 'price', which is not there"),
        ("id,price\n1,2,3\n", {"kind": "number"},
         "1 malformed rows in dataset.items, the first: items.csv row 1: found 3 fields, wanted 2; correct them, or"),
        ("id,price\n", {"kind": "number"}, "items.csv: holds no rows; wanted items, or no key dataset.items at all"),
        ("id,price\n,2\n", {"kind": "number"}, "items.csv: 1 rows have no dataset.items.id; wanted an id in each"),
    ],
)  # fmt: skip
def test_items_that_cannot_be_read(
    tmp_path: Path, dataset: Callable, refusal: Callable, content: str, feature: dict[str, str], wanted: str
) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\nu,1,{DAY}\n")
    (tmp_path / "items.csv").write_text(content)
    items = {"path": "items.csv", "id": "id", "features": {"x": {"column": "price", **feature}}}
    message = refusal(dataset(items=items))
    assert wanted in message
    assert "items.csv" in message


def test_a_column_of_lists_is_no_category(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\nu,1,{DAY}\n")
    pq.write_table(pa.table({"id": [1], "tags": [["a"]]}), tmp_path / "i.parquet")
    for kind in ("categorical", "text", "id"):
        items = {
            "path": "i.parquet",
            "format": "parquet",
            "id": "id",
            "features": {"x": {"column": "tags", "kind": kind}},
        }
        message = refusal(dataset(items=items), to=kind)
        assert f"i.parquet: dataset.items.features.x cannot be read as {kind}" in message


def test_created_in_the_wrong_unit(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\nu,1,{DAY}\n")
    (tmp_path / "items.csv").write_text(f"id,since\n1,{DAY * 1000}\n")
    assert refusal(dataset(items={"path": "items.csv", "id": "id", "created": "since"})) == (
        f"items.csv: no 'since' can be read as s (dataset.items.created_unit) between 1990 and 2100; found "
        f"'{DAY * 1000}', which would fit as ms (2024-01-01)"
    )


def test_item_files_that_disagree(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\nu,1,{DAY}\n")
    (tmp_path / "items").mkdir()
    pq.write_table(pa.table({"id": [1]}), tmp_path / "items" / "a.parquet")
    pq.write_table(pa.table({"id": ["2"]}), tmp_path / "items" / "b.parquet")
    message = refusal(dataset(items={"path": "items", "format": "parquet", "id": "id"}))
    assert message.startswith("items (dataset.items): its files give a column different types (")


def test_a_context_column_of_lists(tmp_path: Path, dataset: Callable, refusal: Callable) -> None:
    pq.write_table(pa.table({"user": ["u"], "item": ["i"], "time": [DAY], "device": [["a"]]}), tmp_path / "e.parquet")
    settings = {"path": "e.parquet", "format": "parquet", "context": {"device": {"column": "device"}}}
    message = refusal(dataset(settings))
    assert "e.parquet: dataset.events.context.device.column is a column of type list<" in message
    assert message.endswith("; wanted text or numbers")


def test_parts_of_no_file_at_all(dataset: Callable) -> None:
    with pytest.raises(DataError, match=r"^dataset\.events\.path: found no file"):
        parts(dataset().events, "dataset.events")
