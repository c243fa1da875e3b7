"""How much the ranker's word and recall's count beside each other."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

LEAST = 1e-3  # of a weight: moments that gainsay both must not leave the candidates without any order


def blend_weights(
    own: NDArray, recalled: NDArray, other: NDArray, there: NDArray[np.bool_], wanted: NDArray[np.integer]
) -> tuple[float, float]:
    """The weights of a ranker's logits and of recall's scores, by moments that neither was trained on.

    In the conditional logit model (McFadden 1974) P(i) ∝ exp(a · own_i + b · recalled_i + other_i) among the candidates of a
    moment, a, b > 0 are those of maximum likelihood; a normal prior, with which each tells candidates apart by a logit of one
    on average, counts as much as one moment does.

    Args:
      own, recalled, other: finite float [n, candidates].
      there: bool [n, candidates]; False where the list has no candidate.
      wanted: int [n]; the place of the item that it was, which is there.
    """
    said = np.stack([own, recalled], axis=-1).astype(np.float64)
    spread = said[there].std(axis=0)
    spread[spread == 0] = 1
    said = (said - said[there].mean(axis=0)) / spread
    line = np.arange(len(wanted))

    def loss(scaled: NDArray) -> tuple[float, NDArray]:
        logits = np.where(there, said @ scaled + other, -np.inf)
        total = logsumexp(logits, axis=1)
        probs = np.exp(logits - total[:, np.newaxis])
        expected = np.einsum("nc,ncw->nw", probs, said)
        value = np.mean(total - logits[line, wanted]) + np.sum((scaled - 1) ** 2) / (2 * len(wanted))
        return float(value), np.mean(expected - said[line, wanted], axis=0) + (scaled - 1) / len(wanted)

    a, b = minimize(loss, np.ones(2), jac=True, method="L-BFGS-B", bounds=[(LEAST, None)] * 2).x / spread
    return float(a), float(b)
