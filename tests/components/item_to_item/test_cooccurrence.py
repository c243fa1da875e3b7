import pyarrow as pa

from components.item_to_item.cooccurrence import gram_parts, item_counts, user_items


def interactions(*rows: tuple[str, int, int]) -> pa.Table:
    users, items, moments = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [pa.array(users, pa.string()), pa.array(items, pa.int32()), pa.array(moments, pa.int64())]
    return pa.table(columns, names=["user_id", "item_index", "timestamp_ms"])


def test_an_item_counts_once_a_user() -> None:
    found = user_items(interactions(("b", 2, 5), ("a", 0, 1), ("b", 0, 7), ("b", 2, 9)), 3, 10)
    assert found.toarray().tolist() == [[1, 0, 1], [1, 0, 0]]
    assert item_counts(found).tolist() == [2, 0, 1]


def test_of_a_long_history_the_latest_items_count() -> None:
    """Item 0 was had first and last, so it is the latest; of 1 and 3, had at one moment, 1 is; 2 is the oldest."""
    rows = [("a", 0, 1), ("a", 2, 2), ("a", 3, 5), ("a", 1, 5), ("a", 0, 9), ("b", 2, 1)]
    assert user_items(interactions(*rows), 4, 2).toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]
    assert user_items(interactions(*rows[:-1]), 4, 3).toarray().tolist() == [[1, 1, 0, 1]]


def test_the_gram_matrix_by_hand() -> None:
    """Users: {0, 1}, {0, 1, 2}, {2}."""
    users = user_items(interactions(*[("a", 0, 1), ("a", 1, 1), ("b", 0, 1), ("b", 1, 1), ("b", 2, 1), ("c", 2, 1)]), 3, 9)
    (gram,) = gram_parts(users)
    assert gram.toarray().tolist() == [[2, 2, 1], [2, 2, 1], [1, 1, 2]]


def test_many_pairs_are_made_in_parts() -> None:
    """Each of 9 users has 2,000 items, 4 million pairs: four of them hold nearly 2 ** 24."""
    users = user_items(interactions(*[(str(user), item, 1) for user in range(9) for item in range(2_000)]), 2_000, 2_000)
    parts = list(gram_parts(users))
    assert [part[0, 0] for part in parts] == [4, 4, 1]


def test_nobody_has_anything() -> None:
    users = user_items(interactions(), 3, 9)
    assert list(gram_parts(users)) == []
    assert item_counts(users).tolist() == [0, 0, 0]
