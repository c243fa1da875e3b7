import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.evaluation.metrics import expected_calibration_error, reliability_curve
from components.models.calibration import (
    LEAST_OUTCOMES,
    LEAST_SLICE,
    LEAST_SLOPE,
    Isotonic,
    Platt,
    SlicedCalibration,
    fit_calibration,
    fit_isotonic,
    fit_platt,
    fit_sliced,
)


def test_platt_is_a_line_on_the_logit() -> None:
    np.testing.assert_allclose(Platt(2.0, math.log(3))(tf.constant([[0.0], [-math.log(3)]])), [[0.75], [0.25]], rtol=1e-6)


def test_platt_finds_the_line() -> None:
    # At logit ±1, 3 of 4 and 1 of 4 are positive. Of 4 positives and 4 negatives the targets are 5/6 and 1/6, so the wanted
    # rate at +1 is (3 · 5/6 + 1/6) / 4 = 2/3: σ(slope) = 2/3, slope = log 2, and by symmetry no offset.
    logits, labels = np.array([1.0] * 4 + [-1.0] * 4), np.array([1, 1, 1, 0, 1, 0, 0, 0])
    found = fit_platt(logits, labels, np.ones(8))
    assert found.slope == pytest.approx(math.log(2), abs=1e-4)
    assert found.offset == pytest.approx(0, abs=1e-4)


def test_platt_heeds_weights() -> None:
    logits, labels, weights = np.array([1.0, 1.0, -1.0, -1.0]), np.array([1, 0, 1, 0]), np.array([3.0, 1.0, 1.0, 3.0])
    repeated = fit_platt(np.repeat(logits, weights.astype(int)), np.repeat(labels, weights.astype(int)), np.ones(8))
    assert fit_platt(logits, labels, weights).slope == pytest.approx(repeated.slope, abs=1e-4)


def test_a_model_worse_than_chance_is_flattened_not_turned() -> None:
    found = fit_platt(np.array([1.0] * 4 + [-1.0] * 4), np.array([0, 0, 0, 1, 0, 1, 1, 1]), np.ones(8))
    assert found.slope == LEAST_SLOPE


def test_isotonic_is_linear_between_knots_and_constant_outside() -> None:
    made = Isotonic((0.0, 1.0, 3.0), (0.1, 0.5, 0.7))(tf.constant([[-5.0, 0.0, 0.25], [1.0, 2.0, 9.0]]))
    # 0.1 + 0.25 · 0.4 and 0.5 + 0.5 · 0.2.
    np.testing.assert_allclose(made, [[0.1, 0.1, 0.2], [0.5, 0.6, 0.7]], rtol=1e-6)


def test_isotonic_pools_what_is_out_of_order() -> None:
    # The rates at 0, 1, 2, 3 are 0, 1, 0, 1; those at 1 and 2 violate the order and become 1/2, at the mean logit 3/2. The
    # ends stay one sample of 4 + 2 away from 0 and 1.
    found = fit_isotonic(np.array([2.0, 0.0, 3.0, 1.0]), np.array([0, 0, 1, 1]), np.ones(4))
    assert found.logits == (0.0, 1.5, 3.0)
    assert found.probs == pytest.approx((1 / 6, 1 / 2, 5 / 6))


def test_isotonic_of_one_step_is_constant() -> None:
    found = fit_isotonic(np.array([0.0, 1.0]), np.array([1, 0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(found(tf.constant([-1.0, 0.5, 7.0])), [0.75] * 3)


@pytest.mark.parametrize(
    ("kind", "labels", "weights"),
    [("none", [0, 1], [1, 1]), ("platt", [1, 1, 0], [1, 2, 0]), ("isotonic", [0, 0], [1, 1]), ("platt", [1, 0], [0, 0])],
)
def test_where_nothing_can_be_fitted_the_logit_is_taken_at_its_word(
    kind: str, labels: list[float], weights: list[float]
) -> None:
    """Nothing is wanted, or what was observed is all of one kind, or nothing was observed."""
    made = fit_calibration(kind, np.arange(len(labels)), np.array(labels), np.array(weights))
    np.testing.assert_allclose(made(tf.constant([0.0, math.log(3)])), [0.5, 0.75], rtol=1e-6)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_overconfident_logits_become_rates(kind: str) -> None:
    """Logits of three times the true ones, shifted: their error is large, and small on fresh samples once calibrated."""
    rng = np.random.default_rng(3)
    true = rng.normal(-1, 1, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-true))).astype(np.float32)
    logits = (3 * true + 2).astype(np.float32)
    fitted = fit_calibration(kind, logits[::2], labels[::2], np.ones(10_000))

    def error(probs: np.ndarray) -> float:
        return expected_calibration_error(reliability_curve(labels[1::2], probs))

    assert error(tf.sigmoid(logits[1::2]).numpy()) > 0.15
    assert error(fitted(tf.constant(logits[1::2])).numpy()) < 0.03


def test_each_request_goes_through_the_map_of_its_slice() -> None:
    made = SlicedCalibration({3: lambda logits: logits + 1, 5: lambda logits: logits + 2}, lambda logits: -logits)
    logits = tf.constant([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    np.testing.assert_array_equal(made.of(tf.constant([5, 4, 3], tf.int64))(logits), [[3, 4], [-1, -2], [2, 3]])
    np.testing.assert_array_equal(made.of(None)(logits), -logits)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_a_slice_with_enough_samples_is_calibrated_for_itself(kind: str) -> None:
    """Logits of value 0 are right and of 1 they are 2 too high; there are too few of 2, and too few positives of 3."""
    rng = np.random.default_rng(4)
    size = 4_000
    true = rng.normal(0, 1, 2 * size)
    value = np.repeat([0, 1], size)
    labels = (rng.random(2 * size) < 1 / (1 + np.exp(-true))).astype(np.float32)
    few, alike = LEAST_SLICE - 1, LEAST_SLICE
    logits = np.concatenate([true + 2 * value, np.zeros(few + alike)])
    labels = np.concatenate([labels, np.arange(few) % 2, np.arange(alike) < LEAST_OUTCOMES - 1])
    value = np.concatenate([value, np.repeat([2, 3], [few, alike])])
    made = fit_sliced(kind, logits, labels, np.ones(len(logits)), value)
    assert sorted(made.of_value) == [0, 1]
    at_zero = made.of(tf.constant([0, 1]))(tf.constant([[0.0], [2.0]])).numpy()[:, 0]
    np.testing.assert_allclose(at_zero, [0.5, 0.5], atol=0.05)
    whole = fit_calibration(kind, logits, labels, np.ones(len(logits)))
    np.testing.assert_array_equal(made.of(tf.constant([2, 9]))(tf.constant([[0.3], [0.3]])), [[whole(tf.constant(0.3))]] * 2)


def test_without_slices_there_is_one_map() -> None:
    assert fit_sliced("platt", np.array([1.0, -1.0]), np.array([1, 0]), np.ones(2), None).of_value == {}


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_a_saved_map_gives_the_same_rates(kind: str, tmp_path: Path) -> None:
    logits = np.linspace(-4, 4, 2_000)
    label = np.float64(np.random.default_rng(3).random(2_000) < 1 / (1 + np.exp(-logits / 2)))
    found = fit_sliced(kind, logits, label, np.ones(2_000), np.repeat([0, 1], 1_000))
    module = tf.Module()
    spec = [tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int64)]
    module.rates = tf.function(lambda logit, value: found.of(value)(logit), input_signature=spec)
    tf.saved_model.save(module, str(tmp_path))
    asked, value = tf.constant([[-9.0, 0.3], [0.3, 2.0]]), tf.constant([0, 1], tf.int64)
    rates = tf.saved_model.load(str(tmp_path)).rates(asked, value)
    np.testing.assert_allclose(rates, found.of(value)(asked), rtol=1e-6)
    assert not np.isclose(rates[0, 1], rates[1, 0])  # each slice has its own map
