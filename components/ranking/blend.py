"""How much recall's word counts beside the ranker's."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

MOST = 100.0  # a ranker that tells nothing leaves recall's order as it is


def recall_weight(own: NDArray, recalled: NDArray, there: NDArray[np.bool_], wanted: NDArray[np.integer]) -> float:
    """The weight of recall's score beside a ranker's logit, by moments that neither has learnt from.

    In the conditional logit model (McFadden 1974) P(i) ∝ exp(a · own_i + b · recalled_i) among the candidates of a moment, with
    a, b ≥ 0 of maximum likelihood. The order of the candidates depends on b / a alone, which is returned; ``MOST`` at most.

    Args:
      own, recalled: float [n, candidates]; the ranker's logits and recall's scores.
      there: bool [n, candidates]; False where the list has no candidate.
      wanted: int [n]; the place of the item that it was, which is there.
    """
    said = np.stack([own, recalled], axis=-1).astype(np.float64)
    line = np.arange(len(wanted))

    def loss(weights: NDArray) -> tuple[float, NDArray]:
        logits = np.where(there, said @ weights, -np.inf)
        total = logsumexp(logits, axis=1)
        probs = np.exp(logits - total[:, np.newaxis])
        expected = np.einsum("nc,ncw->nw", probs, said)
        return float(np.mean(total - logits[line, wanted])), np.mean(expected - said[line, wanted], axis=0)

    of_own, of_recall = minimize(loss, np.ones(2), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2).x
    return float(of_recall / max(of_own, of_recall / MOST)) if of_recall else 0.0
