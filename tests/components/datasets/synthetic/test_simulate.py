from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from components.datasets.synthetic import SyntheticConfig, World, make_world, true_preference
from components.datasets.synthetic.behaviour import EXAMINATION_PROB, EventBlock
from components.datasets.synthetic.config import MS_PER_HOUR
from components.datasets.synthetic.policy import POSITION_COUNT
from components.datasets.synthetic.simulate import BLOCK_REQUESTS, simulate
from components.datasets.synthetic.traffic import MAX_CLICK_DELAY_MS


def impressions_with_clicks(events: EventBlock) -> tuple[EventBlock, np.ndarray]:
    """Each impression once, and whether it was clicked."""
    once = events.take(~events.is_repeat)
    shown, clicks = once.take(~once.is_click), once.take(once.is_click)
    place = shown.request * POSITION_COUNT + shown.position
    return shown, np.isin(place, clicks.request * POSITION_COUNT + clicks.position)


def auc(score: np.ndarray, label: np.ndarray) -> float:
    """Probability that a random positive scores above a random negative, ties one half (Mann-Whitney)."""
    _, group, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[group]
    positive = int(label.sum())
    negative = len(label) - positive
    return float((rank[label].sum() - positive * (positive + 1) / 2) / (positive * negative))


@pytest.mark.parametrize(
    "config",
    [
        SyntheticConfig(events=100, days=1),
        SyntheticConfig(events=1_001, days=45, seed=1),
        SyntheticConfig(events=20_000, days=3, users=10, duplicate_share=0.5),
    ],
)
def test_gives_exactly_the_events_wanted(config: SyntheticConfig, run_world: Callable[[World], EventBlock]) -> None:
    events = run_world(make_world(config))
    assert len(events) == config.events
    assert events.timestamp_ms.min() >= config.start_ms
    assert events.timestamp_ms.max() < config.end_ms
    np.testing.assert_array_equal(np.unique(events.event), np.arange(events.event.max() + 1))


def test_traffic_fills_the_whole_period(world: World, events: EventBlock) -> None:
    assert len(events) == 200_000
    hours = (events.timestamp_ms - world.config.start_ms) // MS_PER_HOUR
    assert np.all(np.bincount(hours // 24, minlength=30) > 4_000)
    by_hour = np.bincount(hours % 24)
    assert by_hour[20] > 3 * by_hour[3]


def test_order_is_that_of_time_but_for_late_clicks(world: World) -> None:
    latest_ms = 0
    for block in simulate(world):
        assert np.all(np.diff(block.timestamp_ms) >= 0)
        assert block.timestamp_ms[0] >= latest_ms - MAX_CLICK_DELAY_MS
        latest_ms = block.timestamp_ms[-1]


def test_blocks_stay_small_however_much_happens_in_a_slot() -> None:
    world = make_world(SyntheticConfig(events=600_000, days=1, users=1000, items=500))
    block_count = 0
    for block in simulate(world):
        block_count += 1
        assert len(np.unique(block.request)) <= BLOCK_REQUESTS
    assert block_count > 4  # one day has four slots


def test_requests_show_ten_different_items_to_one_user(events: EventBlock) -> None:
    shown, _ = impressions_with_clicks(events)
    whole = shown.request < shown.request.max()
    lists = {each.name: getattr(shown, each.name)[whole].reshape(-1, POSITION_COUNT) for each in fields(EventBlock)}
    np.testing.assert_array_equal(lists["position"], np.tile(np.arange(10), (len(lists["position"]), 1)))
    for name in ("user", "device", "timestamp_ms", "request"):
        assert np.all(lists[name] == lists[name][:, :1])
    assert np.all(np.diff(np.sort(lists["item"], axis=1), axis=1) > 0)
    assert np.all((shown.propensity > 0) & (shown.propensity < 1))


def test_clicks_follow_their_impression_once(events: EventBlock) -> None:
    once = events.take(~events.is_repeat)
    shown, clicks = once.take(~once.is_click), once.take(once.is_click)
    impression = {
        key: (user, item, time_ms)
        for key, user, item, time_ms in zip(
            zip(shown.request.tolist(), shown.position.tolist(), strict=True),
            shown.user.tolist(),
            shown.item.tolist(),
            shown.timestamp_ms.tolist(),
            strict=True,
        )
    }
    keys = list(zip(clicks.request.tolist(), clicks.position.tolist(), strict=True))
    assert len(set(keys)) == len(keys) > 10_000
    for key, user, item, time_ms in zip(keys, clicks.user, clicks.item, clicks.timestamp_ms, strict=True):
        shown_to, shown_item, shown_ms = impression[key]
        assert (user, item) == (shown_to, shown_item)
        assert 1200 <= time_ms - shown_ms <= MAX_CLICK_DELAY_MS
    assert np.all(clicks.dwell_s >= 1)
    assert np.all(np.isnan(clicks.propensity))
    assert np.all(np.isnan(shown.dwell_s))


def test_items_and_users_are_seen_only_while_they_exist(world: World, events: EventBlock) -> None:
    shown, _ = impressions_with_clicks(events)
    assert np.all(shown.timestamp_ms >= world.items.created_ms[shown.item])
    assert np.all(shown.timestamp_ms <= world.items.dies_ms[shown.item])
    assert np.all(shown.timestamp_ms >= world.users.created_ms[shown.user])
    new = world.items.created_ms > world.config.start_ms
    assert np.mean(new[shown.item]) > 0.1


def test_truth_is_preference_times_examination(world: World, events: EventBlock) -> None:
    shown, _ = impressions_with_clicks(events)
    some = shown.take(np.random.default_rng(0).choice(len(shown), 500))
    preference = true_preference(world, some.user, some.item[:, None], some.timestamp_ms)[:, 0]
    np.testing.assert_allclose(some.preference, preference, rtol=1e-4)
    np.testing.assert_allclose(some.click_prob, preference * EXAMINATION_PROB[some.device, some.position], rtol=1e-4)


def test_truth_is_calibrated(events: EventBlock) -> None:
    shown, clicked = impressions_with_clicks(events)
    bucket = np.digitize(shown.click_prob, np.quantile(shown.click_prob, np.arange(0.1, 1, 0.1)))
    for each in range(10):
        inside = bucket == each
        wanted = shown.click_prob[inside].mean(dtype=np.float64)
        error = np.sqrt(wanted * (1 - wanted) / inside.sum())
        assert abs(clicked[inside].mean() - wanted) < 4 * error


def test_clicks_fall_with_position_and_faster_on_small_screens(events: EventBlock) -> None:
    shown, clicked = impressions_with_clicks(events)
    rate = np.array([clicked[shown.position == each].mean() for each in (0, 2, 5, 9)])
    assert np.all(np.diff(rate) < 0)
    # Steepness 0.45 on a desktop, 0.75 on a mobile: position 9 keeps 10 ** -0.45 = 0.35 and 10 ** -0.75 = 0.18.
    kept = [
        clicked[(shown.device == device) & (shown.position == 9)].mean()
        / clicked[(shown.device == device) & (shown.position == 0)].mean()
        for device in (0, 1)
    ]
    np.testing.assert_allclose(kept, [0.35, 0.18], atol=0.06)


def test_duplicates_are_exact_and_as_many_as_configured(events: EventBlock) -> None:
    assert events.is_repeat.mean() == pytest.approx(0.01, abs=0.001)
    repeat = np.flatnonzero(events.is_repeat)
    for each in fields(EventBlock):
        if each.name != "is_repeat":
            column = getattr(events, each.name)
            np.testing.assert_array_equal(column[repeat], column[repeat - 1])
    assert len(np.unique(events.event)) == len(events) - len(repeat)


def test_few_events_arrive_hours_late(events: EventBlock) -> None:
    delay_ms = events.received_ms - events.timestamp_ms
    assert delay_ms.min() >= 50
    late = delay_ms > MS_PER_HOUR
    assert late.mean() == pytest.approx(0.005, abs=0.001)
    assert delay_ms.max() < 13 * MS_PER_HOUR
    assert delay_ms[~late].max() < 60_000


def test_longer_dwell_means_more_liking(events: EventBlock) -> None:
    clicks = events.take(events.is_click)
    assert np.corrcoef(np.log(clicks.dwell_s), clicks.preference)[0, 1] > 0.6


def test_taste_matters_more_than_popularity(world: World, events: EventBlock) -> None:
    shown, clicked = impressions_with_clicks(events)
    before = shown.timestamp_ms < np.quantile(shown.timestamp_ms, 0.8)
    after, after_clicked = shown.take(~before), clicked[~before]
    clicks = np.bincount(shown.item[before], clicked[before], minlength=world.config.item_count)
    count = np.bincount(shown.item[before], minlength=world.config.item_count)
    rate = (clicks + 2) / (count + 20)  # of the item, drawn to the mean of one in ten

    assert auc(after.preference, after_clicked) > 0.75
    assert 0.52 < auc(rate[after.item], after_clicked) < 0.65
    assert auc(clicks[after.item], after_clicked) < 0.65
    assert auc(np.random.default_rng(0).random(len(after)), after_clicked) == pytest.approx(0.5, abs=0.02)
