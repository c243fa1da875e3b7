"""Keys: where they come from, what is refused about them, and what they open."""

from pathlib import Path

import pytest

from components.errors import ConfigError
from serving.gateway.keys import Keys, Role, check_host

GIVEN = {f"WINNOW_{role}_KEY": f"{role.lower()}-key-0123456789" for role in ("RECOMMEND", "EVENTS", "ADMIN")}


def test_each_key_is_told_from_the_others() -> None:
    keys = Keys.from_environment(GIVEN)
    assert keys is not None
    assert [keys.role_of(key) for key in GIVEN.values()] == [Role.RECOMMEND, Role.EVENTS, Role.ADMIN]
    for unknown in (None, "", "recommend-key", "recommend-key-0123456789 ", "ADMIN-KEY-0123456789", "schlüssel"):
        assert keys.role_of(unknown) is None


def test_an_administrators_key_opens_everything_and_the_others_their_own() -> None:
    opened = {role: [wanted for wanted in Role if role.opens(wanted)] for role in Role}
    assert opened == {Role.RECOMMEND: [Role.RECOMMEND], Role.EVENTS: [Role.EVENTS], Role.ADMIN: list(Role)}


def test_keys_from_files(tmp_path: Path) -> None:
    files = {}
    for variable, key in GIVEN.items():
        (tmp_path / variable).write_text(f"{key}\n")
        files[f"{variable}_FILE"] = str(tmp_path / variable)
    assert Keys.from_environment(files) == Keys.from_environment(GIVEN)


def test_without_keys_there_are_none() -> None:
    assert Keys.from_environment({"PATH": "/bin"}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"WINNOW_ADMIN_KEY": None}, "found keys for recommend, events alone; set WINNOW_ADMIN_KEY too, or none of them"),
        ({"WINNOW_ADMIN_KEY": "hush"}, "WINNOW_ADMIN_KEY: found a key of 4 characters; wanted at least 16"),
        ({"WINNOW_ADMIN_KEY": "hush hush hush hush"}, "of printable ASCII without spaces"),
        ({"WINNOW_ADMIN_KEY": "hush\r\nX-Role: admin"}, "of printable ASCII without spaces"),
        ({"WINNOW_ADMIN_KEY": GIVEN["WINNOW_EVENTS_KEY"]}, "are the same; give each its own key"),
        ({"WINNOW_ADMIN_KEY_FILE": "/etc/hush"}, "both WINNOW_ADMIN_KEY and WINNOW_ADMIN_KEY_FILE are set"),
        (
            {"WINNOW_ADMIN_KEY": None, "WINNOW_ADMIN_KEY_FILE": "/nowhere"},
            "WINNOW_ADMIN_KEY_FILE: /nowhere cannot be read: FileNotFoundError",
        ),
    ],
)
def test_keys_that_are_refused(change: dict[str, str | None], message: str) -> None:
    environment = {name: value for name, value in {**GIVEN, **change}.items() if value is not None}
    with pytest.raises(ConfigError) as error:
        Keys.from_environment(environment)
    assert message in str(error.value)
    assert not any(key in str(error.value) for key in (*GIVEN.values(), "hush hush"))


def test_keys_cannot_be_printed() -> None:
    keys = Keys.from_environment(GIVEN)
    assert not any(key in f"{keys!r} {keys} {vars(keys)}" for key in GIVEN.values())


def test_without_keys_only_loopback_is_listened_to() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        check_host(host, None)
    for host in ("0.0.0.0", "::", "10.0.0.7", "gateway.example.org", "127.0.0.1.example.org"):  # noqa: S104
        check_host(host, Keys.from_environment(GIVEN))
        with pytest.raises(ConfigError, match="WINNOW_RECOMMEND_KEY, WINNOW_EVENTS_KEY, WINNOW_ADMIN_KEY"):
            check_host(host, None)
