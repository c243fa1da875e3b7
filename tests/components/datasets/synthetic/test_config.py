import numpy as np
import pytest

from components.datasets.synthetic import SyntheticConfig
from components.errors import ConfigError


def test_sizes_follow_the_number_of_events() -> None:
    config = SyntheticConfig(events=1_000_000)
    assert config.user_count == 5_000  # events / 200
    assert config.item_count == 5_000  # 5 * sqrt(events)
    assert SyntheticConfig(events=100).item_count == 100
    assert SyntheticConfig(events=100, items=300, users=20).user_count == 20


def test_period_is_in_utc() -> None:
    config = SyntheticConfig(days=2)
    assert config.start_ms == 1_735_689_600_000  # 2025-01-01T00:00:00Z
    assert config.end_ms - config.start_ms == 172_800_000


def test_each_purpose_has_its_own_numbers() -> None:
    config = SyntheticConfig(seed=3)
    first = config.rng("slot", 1).random(4)
    np.testing.assert_array_equal(config.rng("slot", 1).random(4), first)
    assert not np.any(config.rng("slot", 2).random(4) == first)
    assert not np.any(config.rng("items", 1).random(4) == first)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"events": 99}, "events: found 99, wanted at least 100"),
        ({"users": 9}, "users: found 9, wanted at least 10"),
        ({"items": 5}, "items: found 5, wanted at least 100"),
        ({"days": 0}, "days: found 0, wanted at least 1"),
        ({"seed": -1}, "seed: found -1, wanted at least 0"),
    ],
)
def test_number_that_is_too_small_is_named(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntheticConfig(**wrong)  # type: ignore[arg-type]


def test_share_of_duplicates_is_a_share() -> None:
    with pytest.raises(ConfigError, match=r"duplicate_share: found 0\.7, wanted 0 to 0\.5"):
        SyntheticConfig(duplicate_share=0.7)
