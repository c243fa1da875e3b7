import dataclasses

import numpy as np
import pyarrow as pa

from serving.gateway.keyed_rows import KeyedRows
from serving.gateway.overlay import overlaid
from serving.gateway.release import Release
from serving.item_store import ItemChange


def test_a_row_is_read_by_its_key() -> None:
    rows = KeyedRows.of(pa.table({"user_id": ["ann", "bob"], "age": [31.0, None]}), "user_id")
    assert {name: value.as_py() for name, value in (rows.get("bob") or {}).items()} == {"user_id": "bob", "age": None}
    assert rows.get("nobody") is None


def test_a_release_with_changes_reads_its_users_by_the_same_keys(release: Release) -> None:
    """To make them anew takes seconds where there are millions of users, within a request."""
    users = KeyedRows.of(pa.table({"user_id": ["ann", "bob"], "plan": ["free", "paid"]}), "user_id")
    base = dataclasses.replace(release, users=users)
    for made in (
        base.restricted(np.arange(7) > 2),
        overlaid(base, [ItemChange("i3", 1, None)], np.zeros((0, 2), np.float32), 1),
    ):
        assert made.users.row_of_key is users.row_of_key
        assert made.states.row_of_key is release.states.row_of_key
        assert made.profile("bob") == {"user_id": "bob", "plan": "paid"}
        assert made.profile("nobody") == {}
