"""From counts of users to the neighbours of each item, by cosine or by EASE."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

from components.config import CosineSettings, EaseSettings
from components.errors import DataError
from components.item_to_item.neighbours import Block

CELLS_AT_ONCE = 1 << 22


def cosine_block(both: sp.csr_matrix, first: int, users: NDArray[np.int64], settings: CosineSettings) -> Block:
    """s_ij = n_ij / (sqrt(n_i n_j) + shrinkage), where n_i users had item i and n_ij had both.

    The cosine of Sarwar et al. 2001, with the shrinkage of Ferrari Dacrema et al. 2019.

    Args:
      both: n_ij, int [rows, num_items]; of the rows from ``first`` on.
      users: n_i, int64 [num_items].
    """
    both = both.tocoo()
    item = both.row + first
    cosine = (both.data / (np.sqrt(users[item] * users[both.col].astype(np.float64)) + settings.shrinkage)).astype(np.float32)
    other = item != both.col
    return _best(both.row[other], both.col[other], cosine[other], first, both.shape[0], settings.neighbours)


def ease_blocks(gram: sp.csr_matrix, settings: EaseSettings) -> Iterator[Block]:
    """B = I - P · diagMat(1 ⊘ diag(P)) with P = (XᵀX + λI)⁻¹, so that B_jj = 0 (Steck 2019, equation 8).

    Kept of each row are the weights that are largest without their sign: what speaks against an item counts as well.
    Items that nobody had have no weight, so that only the others are solved for.

    Args:
      gram: XᵀX, int [num_items, num_items].

    Raises:
      DataError: there are more items with a user than ``max_items``.
    """
    had = np.flatnonzero(gram.diagonal()).astype(np.int32)
    if len(had) > settings.max_items:
        raise DataError(
            f"item_to_item.kind: ease: found {len(had):,} items with training events, wanted at most {settings.max_items:,} "
            f"(item_to_item.max_items): it inverts a matrix of 8 bytes × items², here {8e-9 * len(had) ** 2:,.1f} GB; "
            "use kind: cosine, or raise the limit where the memory is there"
        )
    if not len(had):
        return
    inverse = _inverse(gram[had][:, had], settings.l2)
    diagonal = inverse.diagonal().copy()
    at_once = max(1, CELLS_AT_ONCE // len(had))
    for start in range(0, len(had), at_once):
        rows = had[start : start + at_once]
        weights = (-inverse[start : start + at_once] / diagonal).astype(np.float32)
        weights[np.arange(len(rows)), start + np.arange(len(rows))] = 0
        row, column = np.nonzero(weights)
        first = int(rows[0])
        yield _best(rows[row] - first, had[column], weights[row, column], first, int(rows[-1]) + 1 - first, settings.neighbours)


def _inverse(gram: sp.csr_matrix, l2: float) -> NDArray[np.float64]:
    """(XᵀX + λI)⁻¹, by Cholesky's factors, in the place of the only matrix that is made."""
    matrix = np.zeros(gram.shape, np.float64, order="F")
    gram.astype(np.float64).toarray(out=matrix)
    matrix[np.diag_indices_from(matrix)] += l2
    factor, failed = lapack.dpotrf(matrix, lower=True, overwrite_a=True, clean=False)
    inverse, failed_too = lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed or failed_too:
        raise DataError(
            f"item_to_item.l2: found {l2:g}, with which the items' matrix cannot be inverted; wanted a larger one, such as 100"
        )
    for column in range(1, len(inverse)):  # LAPACK fills one triangle
        inverse[:column, column] = inverse[column, :column]
    return inverse


def _best(
    row: NDArray[np.int32], item: NDArray[np.int32], score: NDArray[np.float32], first: int, rows: int, count: int
) -> Block:
    """Of each row the ``count`` scores that are largest without their sign; of two alike the lower item's."""
    order = np.lexsort((item, -np.abs(score), row))
    row, item, score = row[order], item[order], score[order]
    best = np.arange(len(row)) - np.searchsorted(row, row) < count
    kept = np.bincount(row[best], minlength=rows).astype(np.int64)
    return Block(first, kept, item[best].astype(np.int32), score[best])
