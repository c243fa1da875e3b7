"""Who is in which arm."""

from collections import Counter

import pytest

from components.experiments.assignment import assigned

USERS = [f"user {n}" for n in range(20_000)]
HALVES = {"control": 1.0, "treatment": 1.0}


@pytest.mark.parametrize("shares", [HALVES, {"a": 9, "b": 1}, {"a": 0.2, "b": 0.3, "c": 0.5}])
def test_arms_get_their_shares(shares: dict[str, float]) -> None:
    counts = Counter(assigned("x", user, shares) for user in USERS)
    for arm, share in shares.items():
        expected = share / sum(shares.values())
        deviation = (expected * (1 - expected) / len(USERS)) ** 0.5
        assert counts[arm] / len(USERS) == pytest.approx(expected, abs=4 * deviation)


def test_an_assignment_is_for_ever() -> None:
    first = ["control", "control", "control", "control", "control", "control", "treatment", "treatment"]
    assert [assigned("diverse", user, HALVES) for user in USERS[:8]] == first


def test_experiments_are_independent() -> None:
    both = Counter((assigned("one", user, HALVES), assigned("two", user, HALVES)) for user in USERS)
    assert len(both) == 4
    for count in both.values():
        assert count / len(USERS) == pytest.approx(0.25, abs=0.0125)  # four standard deviations


def test_names_do_not_run_into_each_other() -> None:
    first = [assigned("ab", f"c{user}", HALVES) for user in USERS]
    assert first != [assigned("a", f"bc{user}", HALVES) for user in USERS]


def test_another_share_moves_only_users_between_the_arms() -> None:
    before = {user: assigned("x", user, {"a": 1, "b": 1}) for user in USERS}
    after = {user: assigned("x", user, {"a": 6, "b": 4}) for user in USERS}
    assert {(before[user], after[user]) for user in USERS} == {("a", "a"), ("b", "b"), ("b", "a")}


def test_a_single_arm_has_all_users() -> None:
    assert {assigned("x", user, {"all": 0.1}) for user in USERS[:100]} == {"all"}
