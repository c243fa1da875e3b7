"""`guess_config` on files as people have them: other names, other formats, other units."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config import FeatureKind, FileFormat, PipelineConfig, load_config
from components.errors import DataError
from components.ingest.guess import guess_config


def written(tmp_path: Path, events: Path, items: Path | None = None, users: Path | None = None) -> PipelineConfig:
    """The guessed config as the next command reads it."""
    output = tmp_path / "configs" / "my shop.yaml"
    output.parent.mkdir(exist_ok=True)
    output.write_text(guess_config(events, items, users, output))
    return load_config(output)


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_semicolons_quotes_and_iso_dates(tmp_path: Path) -> None:
    events = text(
        tmp_path / "log.csv",
        '"CustomerID";"SKU";"Order Date";"Quantity"\n'
        + "".join(f'"c{n % 7}";"s{n % 5}";"2024-03-{n % 28 + 1:02d} 10:00:00";"{n % 3 + 1}"\n' for n in range(60)),
    )
    items = text(
        tmp_path / "products.csv",
        "sku;Product Name;Categories;Price;Listed\n"
        + "".join(
            f's{n};"Lamp; number {n}, ""bright""";home|{"light" if n % 2 else "office"};{n}.50;2024-01-0{n + 1}\n'
            for n in range(5)
        ),
    )
    config = written(tmp_path, events, items)
    assert config.name == "my-shop"
    read = config.dataset.events
    assert (read.delimiter, read.quote, read.timestamp_unit) == (";", '"', "iso8601")
    assert read.columns.model_dump(exclude_none=True) == {
        "user_id": "CustomerID",
        "item_id": "SKU",
        "timestamp": "Order Date",
        "value": "Quantity",
    }
    assert read.path == events
    assert config.dataset.items is not None
    assert config.dataset.items.id == "sku"
    assert config.dataset.items.title == "Product Name"
    assert (config.dataset.items.created, config.dataset.items.created_unit) == ("Listed", "iso8601")
    kinds = {name: (feature.column, feature.kind) for name, feature in config.dataset.items.features.items()}
    assert kinds == {
        "title_words": ("Product Name", FeatureKind.TEXT),
        "categories": ("Categories", FeatureKind.MULTI_VALUED),
        "price": ("Price", FeatureKind.NUMBER),
    }
    assert config.dataset.items.features["categories"].separator == "|"
    assert list(config.dataset.tasks) == ["interact"]  # how many were bought is no rating


def test_ratings_get_a_threshold(tmp_path: Path) -> None:
    events = text(
        tmp_path / "ratings.csv",
        "userId,movieId,rating,timestamp\n"
        + "".join(f"{n % 9},{n % 4},{n % 5 + 1}.0,{1_600_000_000 + n}\n" for n in range(50)),
    )
    config = written(tmp_path, events)
    assert config.dataset.events.timestamp_unit == "s"
    assert config.dataset.tasks["interact"].threshold is None
    # Levels 1 to 5: three quarters of the way from 1 to 5 is 4.
    assert config.dataset.tasks["like"].threshold == (">=", 4.0)
    assert [task.score_weight for task in config.dataset.tasks.values()] == [1, 0]  # what recall learns orders the lists


@pytest.mark.parametrize(
    ("levels", "bound"),
    [
        ([n / 2 for n in range(1, 11)], 4.0),  # 0.5 to 5: 3.875, and 4.0 is nearest
        (list(range(1, 11)), 8.0),  # 1 to 10: 7.75
        ([-1, 0, 1], 1.0),  # -1 to 1: 0.5, as near to 0 as to 1; the higher of both
    ],
)
def test_the_threshold_lies_at_three_quarters(tmp_path: Path, levels: list[float], bound: float) -> None:
    rows = [(n, level) for n in range(5) for level in levels]
    events = text(
        tmp_path / "r.csv",
        "uid,isbn,score,ts\n"
        + "".join(f"u{n},b{place},{level},{1_600_000_000 + place}\n" for place, (n, level) in enumerate(rows)),
    )
    assert written(tmp_path, events).dataset.tasks["like"].threshold == (">=", bound)


def test_a_label_of_zero_and_one_is_the_only_task(tmp_path: Path) -> None:
    events = text(
        tmp_path / "log.tsv",
        "visitor_id\tarticle_id\tclicked\tdevice\tdate\n"
        + "".join(f"v{n % 6}\ta{n % 8}\t{n % 2}\t{['ios', 'web'][n % 2]}\t2024-05-{n % 30 + 1:02d}\n" for n in range(40)),
    )
    config = written(tmp_path, events)
    assert config.dataset.events.delimiter == "\t"
    assert list(config.dataset.tasks) == ["like"]
    assert config.dataset.tasks["like"].threshold == (">=", 1.0)
    assert config.dataset.tasks["like"].score_weight == 1
    assert config.dataset.events.context["device"].column == "device"


def test_impressions_with_outcomes_in_parquet(tmp_path: Path) -> None:
    at = [datetime(2024, 1, 1, 12, 0, n % 60, tzinfo=UTC) for n in range(90)]
    kinds = ["exposure", "add-to-cart", "click"]
    events = tmp_path / "events"
    events.mkdir()
    columns = {
        "log_id": [f"e{n}" for n in range(90)],
        "member": [f"m{n % 5}" for n in range(90)],
        "item": [n % 10 for n in range(90)],
        "event_time": pa.array(at, pa.timestamp("us", tz="UTC")),
        "action": [kinds[n % 3] for n in range(90)],
        "request_id": [f"r{n // 3}" for n in range(90)],
        "slot": [n % 3 for n in range(90)],
        "pscore": [0.25] * 90,
    }
    pq.write_table(pa.table(columns), events / "a.parquet")
    users = tmp_path / "members.parquet"
    pq.write_table(
        pa.table(
            {
                "id": [f"m{n}" for n in range(5)],
                "email": [f"m{n}@example.org" for n in range(5)],
                "plan": ["free", "paid", "free", "paid", "free"],
                "joined_at": pa.array(at[:5]),
                "country": ["NL"] * 5,
            }
        ),
        users,
    )
    config = written(tmp_path, events, users=users)
    assert config.dataset.events.format is FileFormat.PARQUET
    assert config.dataset.events.columns.model_dump(exclude_none=True) == {
        "user_id": "member",
        "item_id": "item",
        "timestamp": "event_time",
        "event_id": "log_id",
        "type": "action",
        "request_id": "request_id",
        "position": "slot",
        "propensity": "pscore",
    }
    assert config.samples.impressions == "exposure"
    assert {name: task.event for name, task in config.dataset.tasks.items()} == {
        "add_to_cart": "add-to-cart",
        "click": "click",
    }
    assert config.dataset.users is not None
    assert {name: feature.kind for name, feature in config.dataset.users.features.items()} == {
        "plan": FeatureKind.CATEGORICAL,
        "joined_at": FeatureKind.TIMESTAMP,
    }
    comments = (tmp_path / "configs" / "my shop.yaml").read_text()
    assert "#   email: it looks like personal data, which no model needs" in comments
    assert "#   country: it has the same value in every row" in comments


def test_json_lines_with_lists_and_unwanted_types(tmp_path: Path) -> None:
    kinds = ["play", "skip", "save"]
    events = text(
        tmp_path / "stream.ndjson",
        "".join(
            json.dumps(
                {
                    "listener": f"l{n % 4}",
                    "track_id": n % 6,
                    "at_ms": 1_700_000_000_000 + n,
                    "type": kinds[n % 3],
                    "mood": "x",
                }
            )
            + "\n"
            for n in range(30)
        ),
    )
    items = text(
        tmp_path / "tracks.jsonl",
        "".join(
            json.dumps({"year": n, "id": n, "name": f"Song of {n}", "tags": ["a", f"t{n % 2}"], "label": f"label {n % 2}"})
            + "\n"
            for n in range(6)
        ),
    )
    config = written(tmp_path, events, items)
    assert config.dataset.events.format is FileFormat.JSON_LINES
    assert (config.dataset.events.columns.timestamp, config.dataset.events.timestamp_unit) == ("at_ms", "ms")
    assert config.samples.history_types == ("play", "save")
    assert list(config.dataset.tasks) == ["interact"]
    assert config.dataset.items is not None
    assert config.dataset.items.id == "id"  # not `year`, though it holds the same numbers
    assert config.dataset.items.features["tags"].kind is FeatureKind.MULTI_VALUED
    comments = (tmp_path / "configs" / "my shop.yaml").read_text()
    assert "also possible: play: {event: play} (10 of 30 in the sample)" in comments
    assert "#   mood: nothing says that it is known when a request arrives; if it is, put it under context" in comments


def test_recbole_files_of_an_unknown_extension(tmp_path: Path) -> None:
    """MovieLens 100K looks so; titles with a stray quote, and genres between spaces."""
    events = text(
        tmp_path / "x.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        + "".join(f"{n % 30}\t{n % 40}\t{n % 5 + 1}\t{881250949 + n}\n" for n in range(300)),
    )
    genres = ["Action", "Comedy", "Drama", "Horror", "War"]

    def genres_of(n: int) -> str:
        return " ".join(sorted({genres[n % 5], genres[n // 3 % 5], genres[n // 7 % 5]}))

    items = text(
        tmp_path / "x.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        + "".join(f'{n}\tThe {n} " film\t{1950 + n}\t{genres_of(n)}\n' for n in range(40)),
    )
    users = text(
        tmp_path / "x.user",
        "user_id:token\tage:token\tgender:token\tzip_code:token\n"
        + "".join(f"{n}\t{20 + n}\t{'MF'[n % 2]}\t0{n}123\n" for n in range(30)),
    )
    config = written(tmp_path, events, items, users)
    assert config.dataset.items is not None
    assert (config.dataset.items.delimiter, config.dataset.items.quote) == ("\t", None)
    assert config.dataset.items.title == "movie_title:token_seq"
    assert {name: feature.kind for name, feature in config.dataset.item_features.items()} == {
        "title_words": FeatureKind.TEXT,
        "release_year": FeatureKind.NUMBER,
        "item_class": FeatureKind.MULTI_VALUED,  # a word of Python is no name
    }
    assert config.dataset.item_features["item_class"].separator == " "
    # Zip codes are no numbers, and differ from user to user here.
    assert {name: feature.kind for name, feature in config.dataset.user_features.items()} == {
        "age": FeatureKind.NUMBER,
        "gender": FeatureKind.CATEGORICAL,
    }


def test_feature_names_stay_clear_of_each_other_and_of_the_samples(tmp_path: Path) -> None:
    events = text(tmp_path / "e.csv", "user,item,time\n" + "".join(f"u{n},i{n},{1_600_000_000 + n}\n" for n in range(3)))
    rows = "".join(f"{{}}{n},{'ab'[n % 2]},{'cd'[n % 2]}\n" for n in range(3))
    classes = "".join(f"i{n},{'ab'[n % 2]},{'cd'[n % 2]},{'ef'[n % 2]}\n" for n in range(3))
    items = text(tmp_path / "i.csv", "item,position,region,Class\n" + classes)
    users = text(tmp_path / "u.csv", "user,history_kind,region\n" + rows.replace("{}", "u"))
    config = written(tmp_path, events, items, users)
    assert {name: each.column for name, each in config.dataset.item_features.items()} == {
        "item_position": "position",
        "region": "region",
        "item_class": "Class",
    }
    assert {name: each.column for name, each in config.dataset.user_features.items()} == {
        "user_history_kind": "history_kind",
        "user_region": "region",
    }


def test_paths_are_relative_to_the_config(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    events = text(tmp_path / "data" / "e.csv", "user,item,time\nu,i,1600000000\n")
    made = guess_config(events, None, None, tmp_path / "configs" / "shop.yaml", name="Shop No. 1")
    assert "path: ../data/e.csv" in made
    assert "name: shop-no-1" in made


def test_gzipped_text(tmp_path: Path) -> None:
    with pa.output_stream(tmp_path / "e.csv.gz") as file:
        file.write(b"user,item,time\nu,i,1600000000\n")
    assert written(tmp_path, tmp_path / "e.csv.gz").dataset.events.columns.item_id == "item"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"user,item,price\nu,i,3\n", "found the columns 'user', 'item', 'price', but among them none of times (a"),
        (b"who,item,time\nu,i,1600000000\n", "none of users (user, customer"),
        (b"user,time\nu,1600000000\n", "none of items (item, product"),
        (b"user,item,time\n", "holds no rows"),
        (b"", "is empty; wanted a CSV file whose first line names its columns"),
        (b"1,2,881250949\n3,4,881250949\n", "'1,2,881250949', which looks like data; wanted a header"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "wanted CSV, TSV or JSON lines in UTF-8, or Parquet"),
        (b"user\0,item,time\n", "holds binary data"),
        ("user,item,time\nJosé,i,1600000000\n".encode("latin-1"), "cannot be read as text"),
        (b'{"user": "a"\n{', "cannot be read as jsonl"),
        (b"PAR1 and no more", "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_guessed_says_what_was_found_and_wanted(tmp_path: Path, content: bytes, wanted: str) -> None:
    events = tmp_path / "events.dat"
    events.write_bytes(content)
    with pytest.raises(DataError) as error:
        guess_config(events, None, None, tmp_path / "c.yaml")
    assert wanted in str(error.value)
    assert str(events) in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.events\.path: found no file at .*nowhere.csv; wanted a file, a folder"):
        guess_config(tmp_path / "nowhere.csv", None, None, tmp_path / "c.yaml")


def test_ids_that_are_floats(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [1.0], "item": ["a"], "time": [1_600_000_000]}), tmp_path / "e.parquet")
    with pytest.raises(DataError, match="user is a column of type double; wanted text or integers"):
        guess_config(tmp_path / "e.parquet", None, None, tmp_path / "c.yaml")


def test_items_that_are_not_those_of_the_events(tmp_path: Path) -> None:
    events = text(tmp_path / "e.csv", "user,item,time\nu,i-1,1600000000\n")
    items = text(tmp_path / "i.csv", "item,colour\nitem-1,red\nitem-2,blue\n")
    with pytest.raises(DataError) as error:
        guess_config(events, items, None, tmp_path / "c.yaml")
    assert str(error.value) == (
        f"{items}: no column has an id of the events' 'item' (such as 'i-1'); found the columns 'item', 'colour'; "
        "wanted one with the same ids, written alike: text or integers, no decimals. Write the table again, or leave "
        "the items out"
    )
