"""Whatever breaks beside the gateway, every request of a load is answered with a list. Real processes, really killed."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.benchmarks.serving import faults
from tests.benchmarks.serving.faults import RANKER, STATE, TOWER, Outcome
from tests.benchmarks.serving.stack import Stack

pytestmark = pytest.mark.e2e

RATE, SECONDS = 20, 2.0


@pytest.fixture(scope="module")
def stack(shop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(shop.registry.folder, tmp_path_factory.mktemp("stack")) as running:
        yield running


def checked(outcome: Outcome) -> Outcome:
    """No request failed, no list was empty; ``wait_until_well`` has seen that it ended well."""
    assert len(outcome.answers) > RATE * SECONDS / 2
    assert {answer.status for answer in outcome.answers} == {200}
    assert all(answer.items == 10 for answer in outcome.answers)
    return outcome


def test_lists_go_on_in_recalls_order_when_the_model_server_is_killed(stack: Stack) -> None:
    outcome = checked(faults.model_server_killed(stack, RATE, SECONDS))
    assert {TOWER, RANKER} <= set(outcome.fallbacks)


def test_lists_go_on_from_the_snapshot_when_the_store_is_killed_and_nothing_shown_is_lost(stack: Stack) -> None:
    outcome = checked(faults.store_killed(stack, RATE, SECONDS))
    assert STATE in outcome.fallbacks
    assert outcome.note.startswith("0 records")


def test_a_stalled_ranker_delays_no_list(stack: Stack) -> None:
    outcome = checked(faults.ranker_stalled(stack, RATE, SECONDS))
    assert RANKER in outcome.fallbacks


def test_a_release_is_taken_up_under_load(stack: Stack) -> None:
    before = stack.registry.current()
    outcome = checked(faults.release_swapped(stack, RATE, SECONDS))
    assert before in outcome.releases
    assert stack.recommend()["release"] == stack.registry.current() != before


def test_a_damaged_release_is_refused_and_the_one_before_stays_whole(stack: Stack) -> None:
    before = stack.registry.current()
    outcome = checked(faults.newest_bundle_corrupt(stack, RATE, SECONDS))
    assert outcome.releases == [before]


def test_a_disk_that_is_full_while_the_store_is_gone_costs_records_and_no_list(stack: Stack) -> None:
    outcome = checked(faults.disk_full(stack, RATE, SECONDS))
    assert STATE in outcome.fallbacks
