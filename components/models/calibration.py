"""From a logit to a rate: maps that are fitted on the validation split, and never turn the order of a request's items."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

Floats = NDArray[np.float64]

LEAST_SLOPE = 1e-3  # a model that is worse than chance on the validation split is flattened, not turned round
# A value with fewer samples, or fewer of the rarer outcome, has no map of its own: it would be worse than the one of all.
LEAST_SLICE, LEAST_OUTCOMES = 500, 50


@dataclass(frozen=True)
class Platt:
    """p = σ(slope · logit + offset) (Platt 1999), slope > 0."""

    slope: float
    offset: float

    def __call__(self, logits: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(self.slope * logits + self.offset)


@dataclass(frozen=True)
class Isotonic:
    """p is linear between knots and constant outside them (Zadrozny and Elkan 2002), both [num_knots], ascending."""

    logits: tuple[float, ...]
    probs: tuple[float, ...]

    def __call__(self, logits: tf.Tensor) -> tf.Tensor:
        x, y = tf.constant(self.logits, tf.float32), tf.constant(self.probs, tf.float32)
        within = tf.clip_by_value(logits, x[0], x[-1])
        after = tf.searchsorted(x, tf.reshape(within, [-1]), side="right")
        low = tf.reshape(tf.clip_by_value(after - 1, 0, len(self.logits) - 2), tf.shape(logits))
        left, right = tf.gather(x, low), tf.gather(x, low + 1)
        share = (within - left) / (right - left)
        return tf.gather(y, low) * (1 - share) + tf.gather(y, low + 1) * share


Calibration = Callable[[tf.Tensor], tf.Tensor]  # logits → probabilities, of any shape


@dataclass(frozen=True)
class SlicedCalibration:
    """A map for each slice of the requests, told by the code of a feature's value, and one for all others.

    Since a slice is of requests, the order of a request's items stays as it was.
    """

    of_value: Mapping[int, Calibration]
    rest: Calibration

    def of(self, value: tf.Tensor | None) -> Calibration:
        """The map for logits [batch, n] of requests with ``value``, int64 [batch], or of no slice."""
        if value is None:
            return self.rest

        def calibrated(logits: tf.Tensor) -> tf.Tensor:
            made = self.rest(logits)
            for code, own in self.of_value.items():
                made = tf.where((value == code)[:, tf.newaxis], own(logits), made)
            return made

        return calibrated


def fit_platt(logits: NDArray, labels: NDArray, weights: NDArray) -> Platt:
    """The least weighted log loss, towards targets that Platt draws in by one sample of each kind; all [num_samples]."""
    x, weight = logits.astype(np.float64), weights.astype(np.float64)
    positive, negative = weight[labels > 0].sum(), weight[labels <= 0].sum()
    target = np.where(labels > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        z = parameters[0] * x + parameters[1]
        error = weight * (1 / (1 + np.exp(-np.clip(z, -500, 500))) - target)
        return float(weight @ (np.logaddexp(0, z) - target * z)) / total, np.array([error @ x, error.sum()]) / total

    total = weight.sum()
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(LEAST_SLOPE, None), (None, None)])
    return Platt(float(found.x[0]), float(found.x[1]))


def fit_isotonic(logits: NDArray, labels: NDArray, weights: NDArray) -> Isotonic:
    """The monotone map with the least weighted squared error; all [num_samples].

    Its steps become knots, each at the mean logit of its step, so that the map also tells the samples of a step apart. No
    knot is nearer to 0 or 1 than one sample in as many as there are.
    """
    x, at = np.unique(logits.astype(np.float64), return_inverse=True)
    weight = np.bincount(at, weights)
    rate = np.bincount(at, weights * labels) / weight
    fitted = isotonic_regression(rate, weights=weight)
    step = np.repeat(np.arange(len(fitted.blocks) - 1), np.diff(fitted.blocks))
    of_step = np.bincount(step, weight)
    knots = np.bincount(step, weight * x) / of_step
    least = 1 / (weight.sum() + 2)
    probs = np.clip(fitted.x[fitted.blocks[:-1]], least, 1 - least)
    if len(knots) == 1:
        knots, probs = np.array([knots[0], knots[0] + 1]), np.repeat(probs, 2)
    return Isotonic(tuple(knots.tolist()), tuple(probs.tolist()))


FITS: Mapping[str, Callable[[NDArray, NDArray, NDArray], Calibration]] = {"platt": fit_platt, "isotonic": fit_isotonic}


def fit_calibration(kind: str, logits: NDArray, labels: NDArray, weights: NDArray) -> Calibration:
    """The map of ``kind`` over what was observed (weight > 0); σ where it is none, or all labels are the same."""
    observed = weights > 0
    label = labels[observed]
    if kind == "none" or not len(label) or label.min() == label.max():
        return tf.sigmoid
    return FITS[kind](logits[observed], label, weights[observed])


def is_large_enough(labels: NDArray) -> bool:
    """Whether the observed samples [n] of a slice are enough for a map of their own."""
    positives = int((labels > 0).sum())
    return len(labels) >= LEAST_SLICE and min(positives, len(labels) - positives) >= LEAST_OUTCOMES


def fit_sliced(
    kind: str, logits: NDArray, labels: NDArray, weights: NDArray, value: NDArray[np.int64] | None
) -> SlicedCalibration:
    """``fit_calibration`` of all samples, and of those of each ``value`` that has enough of them; all [num_samples]."""
    own: dict[int, Calibration] = {}
    for code in [] if value is None else np.unique(value).tolist():
        chosen = (value == code) & (weights > 0)
        if is_large_enough(labels[chosen]):
            own[code] = fit_calibration(kind, logits[chosen], labels[chosen], weights[chosen])
    return SlicedCalibration(own, fit_calibration(kind, logits, labels, weights))
