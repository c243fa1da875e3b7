from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.datasets.synthetic import SyntheticConfig, generate, make_world
from components.datasets.synthetic.generate import PartWriter
from components.datasets.synthetic.tables import EVENTS_SCHEMA, TRUTH_SCHEMA, ids
from components.errors import DataError

CONFIG = SyntheticConfig(events=30_000, days=5, seed=11, duplicate_share=0.01, with_truth=True)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(CONFIG, tmp_path_factory.mktemp("synthetic") / "world", lambda line: None)


def test_events_have_the_columns_of_the_log(output: Path) -> None:
    events = pq.read_table(output / "events")
    assert events.schema.equals(EVENTS_SCHEMA)
    assert events.num_rows == 30_000
    assert [file.name for file in (output / "events").iterdir()] == ["part-00000.parquet"]
    is_click = pc.equal(events["type"], "click")
    assert set(events["type"].unique().to_pylist()) == {"impression", "click"}
    assert pc.is_valid(events["value"]).equals(is_click)
    assert pc.is_null(events["propensity"]).equals(is_click)
    assert set(events["device"].unique().to_pylist()) == {"desktop", "mobile", "tablet"}
    assert pc.count_distinct(events["event_id"]).as_py() < 30_000
    assert events.group_by(events.column_names).aggregate([]).num_rows == pc.count_distinct(events["event_id"]).as_py()


def test_tables_hold_every_id_of_the_events(output: Path) -> None:
    events = pq.read_table(output / "events")
    items, users = pq.read_table(output / "items.parquet"), pq.read_table(output / "users.parquet")
    assert items.column_names == ["item_id", "title", "category", "tags", "price", "created_ms"]
    assert users.column_names == ["user_id", "country", "age_group", "created_ms"]
    assert items["tags"].type == pa.list_(pa.string())
    assert items.num_rows == CONFIG.item_count
    assert users.num_rows == CONFIG.user_count
    assert pc.all(pc.is_in(events["item_id"], items["item_id"])).as_py()
    assert pc.all(pc.is_in(events["user_id"], users["user_id"])).as_py()
    assert items["item_id"][0].as_py() == "i000000"
    assert all(table[name].null_count == 0 for table in (items, users) for name in table.column_names)


def test_tags_belong_to_their_item(output: Path) -> None:
    items = make_world(CONFIG).items
    wanted = [[str(items.tag_names[tag]) for tag in row if tag >= 0] for row in items.tags]
    assert pq.read_table(output / "items.parquet")["tags"].to_pylist() == wanted


def test_truth_covers_each_impression_once(output: Path) -> None:
    events, truth = pq.read_table(output / "events"), pq.read_table(output / "truth")
    assert truth.schema.equals(TRUTH_SCHEMA)
    impressions = events.filter(pc.equal(events["type"], "impression"))["event_id"].unique()
    assert sorted(truth["event_id"].to_pylist()) == sorted(impressions.to_pylist())
    assert pc.all(pc.less_equal(truth["click_prob"], truth["preference"])).as_py()


def test_equal_seeds_give_equal_rows(output: Path, tmp_path: Path) -> None:
    same = generate(CONFIG, tmp_path / "same", lambda line: None)
    for name in ("events", "truth", "items.parquet", "users.parquet"):
        assert pq.read_table(same / name).equals(pq.read_table(output / name))

    other = generate(replace(CONFIG, seed=12), tmp_path / "other", lambda line: None)
    assert not pq.read_table(other / "events").equals(pq.read_table(output / "events"))


def test_truth_is_kept_back_unless_asked_for(output: Path, tmp_path: Path) -> None:
    plain = generate(replace(CONFIG, with_truth=False), tmp_path / "plain", lambda line: None)
    assert sorted(each.name for each in plain.iterdir()) == ["config.json", "events", "items.parquet", "users.parquet"]
    assert pq.read_table(plain / "events").equals(pq.read_table(output / "events"))


def test_same_simulation_is_not_repeated_and_another_is_not_overwritten(output: Path) -> None:
    changed_ns = (output / "items.parquet").stat().st_mtime_ns
    said: list[str] = []
    generate(CONFIG, output, said.append)
    assert said == [f"{output}: the same simulation is there"]
    with pytest.raises(DataError, match="that is not this simulation; remove it or choose another folder"):
        generate(replace(CONFIG, seed=12), output, said.append)
    assert (output / "items.parquet").stat().st_mtime_ns == changed_ns


def test_interrupted_simulation_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if "of 1,000,000 events" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(SyntheticConfig(events=1_000_000, users=100, items=100), tmp_path / "world", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"world: cannot write there: .*choose another folder"):
        generate(CONFIG, tmp_path / "file" / "world", lambda line: None)


def test_long_tables_are_cut_into_parts(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path / "truth", TRUTH_SCHEMA)
    for start in range(0, 2_400_000, 400_000):
        numbers = np.arange(start, start + 400_000)
        chance = np.zeros(len(numbers), np.float32)
        writer.write(pa.record_batch([ids("e", numbers, 2_400_000), chance, chance], schema=TRUTH_SCHEMA))
    writer.close()
    # A part ends with the batch that takes it to a million rows: the third and the sixth.
    parts = sorted((tmp_path / "truth").iterdir())
    assert [pq.read_metadata(part).num_rows for part in parts] == [1_200_000, 1_200_000]
    assert pq.read_table(parts[1])["event_id"][0].as_py() == "e1200000"


def test_ids_take_as_many_digits_as_the_largest_needs() -> None:
    assert ids("u", np.array([0, 123, 999_999]), 1_000_000).to_pylist() == ["u000000", "u000123", "u999999"]
    assert ids("i", np.array([45, 1_000_000]), 1_000_001).to_pylist() == ["i0000045", "i1000000"]
    assert ids("e", np.array([], np.int64), 10).to_pylist() == []
