import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.datasets.synthetic import SyntheticConfig, generate, true_click_probs, true_preferences
from components.datasets.synthetic.behaviour import EXAMINATION_PROB
from components.datasets.synthetic.policy import POSITION_COUNT
from components.datasets.synthetic.users import DEVICES
from components.errors import DataError

CONFIG = SyntheticConfig(events=20_000, days=5, seed=11, duplicate_share=0.05, with_truth=True)


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(CONFIG, tmp_path_factory.mktemp("synthetic") / "world", lambda line: None)


@pytest.fixture(scope="module")
def impressions(simulation: Path) -> pa.Table:
    """Each once, in an order that is not the simulation's, with the truth by its event id."""
    events = pq.read_table(simulation / "events")
    shown = events.filter(pc.equal(events["type"], "impression")).group_by(
        ["event_id", "user_id", "item_id", "timestamp_ms", "position", "device"]
    )
    return shown.aggregate([]).join(pq.read_table(simulation / "truth"), "event_id").sort_by("item_id")


def test_each_impression_has_its_own_truth(simulation: Path, impressions: pa.Table) -> None:
    probs = true_click_probs(simulation, impressions)
    np.testing.assert_array_equal(probs.at_position, impressions["click_prob"].to_numpy())
    some = impressions.slice(300, 50)
    np.testing.assert_array_equal(true_click_probs(simulation, some).at_position, some["click_prob"].to_numpy())


def test_at_any_position_is_the_mean_over_the_positions(simulation: Path, impressions: pa.Table) -> None:
    device = [DEVICES.index(each) for each in impressions["device"].to_pylist()]
    at_each = [impressions["preference"].to_numpy() * EXAMINATION_PROB[device, place] for place in range(POSITION_COUNT)]
    np.testing.assert_allclose(true_click_probs(simulation, impressions).at_any_position, np.mean(at_each, axis=0), rtol=1e-5)


def test_what_is_not_of_the_simulation_is_refused(simulation: Path, impressions: pa.Table) -> None:
    other = impressions.slice(0, 2).set_column(1, "user_id", pa.array(["u9", impressions["user_id"][1].as_py()]))
    with pytest.raises(DataError, match=r"found 0 impressions of user_id u9, item_id i000000, timestamp_ms .* exactly one"):
        true_click_probs(simulation, other)


def test_impressions_that_cannot_be_told_apart_are_refused(simulation: Path, impressions: pa.Table, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(simulation, copy)
    [file] = (copy / "events").iterdir()
    events, two = pq.read_table(file), pc.is_in(pq.read_table(file)["event_id"], impressions["event_id"].slice(0, 2))
    same = impressions.slice(0, 1)
    for name in ("user_id", "item_id", "timestamp_ms"):
        alike = pc.if_else(two, same[name][0], events[name])
        events = events.set_column(events.column_names.index(name), events.schema.field(name), alike)
    pq.write_table(events, file)
    with pytest.raises(DataError, match=r"found 2 impressions of user_id .* wanted exactly one"):
        true_click_probs(copy, same)


def test_a_simulation_without_truth_is_refused(simulation: Path, impressions: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    with pytest.raises(DataError, match="holds no truth; wanted a simulation with it"):
        true_click_probs(tmp_path, impressions)


def test_whatever_could_have_been_shown_has_its_truth(simulation: Path, impressions: pa.Table) -> None:
    some = impressions.slice(100, 40)
    item_ids = pq.read_table(simulation / "items.parquet")["item_id"].to_pylist()
    wanted = true_preferences(simulation, some["user_id"].to_pylist(), some["timestamp_ms"].to_numpy(), item_ids)
    assert (wanted.shape, wanted.dtype) == ((40, CONFIG.item_count), np.float32)
    shown = [item_ids.index(each) for each in some["item_id"].to_pylist()]
    np.testing.assert_allclose(wanted[np.arange(40), shown], some["preference"].to_numpy(), rtol=1e-5)


def test_none_can_want_what_is_not_there(simulation: Path, impressions: pa.Table) -> None:
    items = pq.read_table(simulation / "items.parquet")
    moment, user = impressions["timestamp_ms"].to_numpy()[:1], impressions["user_id"].to_pylist()[:1]
    [wanted] = true_preferences(simulation, user, moment, items["item_id"].to_pylist())
    coming = items["created_ms"].to_numpy() > moment
    assert coming.any()
    assert (wanted[coming] == 0).all()
    assert ((wanted > 0) & ~coming).any()
    gone = ~coming & (wanted == 0)
    assert gone.any(), "some are old, and there no more"


def test_the_truth_of_another_world_is_refused(simulation: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found the id 'u9', wanted one of the simulation's"):
        true_preferences(simulation, ["u000000", "u9"], np.zeros(2, np.int64), ["i000000"])
    with pytest.raises(DataError, match="holds no simulation"):
        true_preferences(tmp_path, ["u000000"], np.zeros(1, np.int64), ["i000000"])
