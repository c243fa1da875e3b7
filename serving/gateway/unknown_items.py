"""What an item is predicted that the ranker does not know: it was put in after the release was trained."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def borrowed(
    predictions: Mapping[str, NDArray[np.float32]], unknown: NDArray[np.bool_], recall_score: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """The ranker's predictions, in which unknown candidates have those of the known one at their place.

    The ranker would score all unknown items alike, as it cannot see their features; the item tower has seen them. So a
    candidate that recall scores higher than all but k of the m known ones gets what the ranker predicts for the known one
    that it ranks at place k, counted from 0 and at most m - 1: recall's score, mapped onto the ranker's by its quantile.
    The order among unknown items is recall's; where no candidate is known, the predictions stay as they are.

    Args:
      predictions: float32 [n] each; ``score`` orders the list.
      unknown: bool [n].
      recall_score: float32 [n]; the dot product of the query's and the items' vectors.
    """
    known = np.flatnonzero(~unknown)
    if not len(known):
        return dict(predictions)
    ranked = known[np.argsort(-predictions["score"][known], kind="stable")]
    better = len(known) - np.searchsorted(np.sort(recall_score[known]), recall_score[unknown], side="right")
    lenders = ranked[np.minimum(better, len(known) - 1)]
    made = {}
    for name, values in predictions.items():
        made[name] = values.copy()
        made[name][unknown] = values[lenders]
    return made
