from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.training.inputs import part_of, training_batches, transformed, with_seeds

ROWS, BLOCK = 103, 20


def blocks() -> tf.data.Dataset:
    """Numbers 0 to 102 with their squares, in blocks of 20."""
    numbers = np.arange(ROWS)
    return tf.data.Dataset.from_tensor_slices({"number": numbers, "square": numbers**2}).batch(BLOCK)


def epoch(batches: tf.data.Dataset) -> list[int]:
    return [int(number) for batch in batches for number in batch["number"]]


def test_every_row_once_an_epoch_but_for_the_remainder() -> None:
    batches = training_batches(blocks(), 10, seed=3, epoch=0)
    assert [len(batch["number"]) for batch in batches] == [10] * 10
    dealt = epoch(batches)
    assert len(set(dealt)) == len(dealt) == 100
    assert set(dealt) < set(range(ROWS))


def test_the_rows_of_a_sample_stay_together() -> None:
    for batch in training_batches(blocks(), 10, seed=3, epoch=0):
        np.testing.assert_array_equal(batch["square"], batch["number"] ** 2)


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = [epoch(training_batches(blocks(), 10, seed, place)) for seed in (3, 4) for place in range(3)]
    assert len({tuple(order) for order in orders}) == 6


def test_the_orders_are_those_of_every_run() -> None:
    runs = []
    for _ in range(5):
        keras.utils.set_random_seed(1)
        runs.append([epoch(training_batches(blocks(), 10, seed=3, epoch=place)) for place in range(2)])
    assert all(run == runs[0] for run in runs)


def test_files_become_transformed_blocks(small_shop: Any, tmp_path: Any) -> None:
    countries = ["DE", "FR", "BR", "DE", "JP"]
    for number, part in enumerate((countries[:3], countries[3:])):
        with tf.io.TFRecordWriter(str(tmp_path / f"part-{number}.gz"), "GZIP") as writer:
            for country in part:
                writer.write(small_shop.sample(country=country, user_id=country))
    files = [str(path) for path in tmp_path.glob("*.gz")]

    def read(shuffled: bool) -> list[tuple[bytes, int]]:
        dataset = transformed(files, small_shop.transform, ["country", "user_id"], lambda block: block, shuffled)
        # Of what a training reads too: where the tuner is on, the end of an epoch may wait for as long as the epoch took.
        assert training_batches(dataset.cache(), 2, seed=3, epoch=0).options().autotune.enabled is False
        (block,) = dataset
        assert block.keys() == {"country", "user_id"}
        return list(zip(block["user_id"].numpy().tolist(), block["country"].numpy().tolist(), strict=True))

    expected = {b"DE": 1, b"FR": 2, b"JP": 3, b"BR": 0}
    assert (
        sorted(read(shuffled=False))
        == sorted(read(shuffled=True))
        == sorted((country.encode(), expected[country.encode()]) for country in countries)
    )
    assert read(shuffled=False) == read(shuffled=False)


def test_an_epoch_does_not_depend_on_those_before_it() -> None:
    """So that a training can go on, and workers that train together make batches each for themselves."""
    together = [epoch(training_batches(blocks(), 10, 3, place)) for place in range(3)]
    batches = training_batches(blocks(), 10, 3, 2)
    assert epoch(batches) == epoch(batches) == together[2]


def test_seeds_are_of_their_element_and_epoch() -> None:
    def seeds(place: int) -> list[tuple[int, ...]]:
        return [tuple(seed.numpy().tolist()) for _, seed in with_seeds(tf.data.Dataset.range(5), 3, place)]

    assert seeds(1) == seeds(1)
    assert len({*seeds(0), *seeds(1)}) == 10


def test_the_parts_of_a_batch_are_disjoint_and_all_of_it() -> None:
    """Two processes of two replicas each, batches of twelve: elements of three rows, of which two make a process' part."""
    whole = tf.data.Dataset.from_tensor_slices({"number": np.arange(24)}).batch(12)
    parts = [part_of(whole, tf.distribute.InputContext(2, process, 4), 12) for process in range(2)]
    assert [[batch["number"].numpy().tolist() for batch in part] for part in parts] == [
        [[0, 1, 2], [3, 4, 5], [12, 13, 14], [15, 16, 17]],
        [[6, 7, 8], [9, 10, 11], [18, 19, 20], [21, 22, 23]],
    ]
