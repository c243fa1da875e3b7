"""Matrix factorisations that papers compare with, by the library ``implicit``: for benchmarks, not for releases."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from components.errors import ConfigError
from components.evaluation.baselines import Items, best_unseen, recommend_popular

UNKNOWN = -1


@dataclass(frozen=True)
class Ials:
    """Implicit alternating least squares (Hu, Koren, Volinsky 2008): its settings, by the library's names."""

    factors: int
    regularization: float
    alpha: float
    iterations: int


@dataclass(frozen=True)
class Bpr:
    """Bayesian personalised ranking (Rendle et al. 2009): its settings, by the library's names."""

    factors: int
    learning_rate: float
    regularization: float
    iterations: int


@dataclass(frozen=True)
class Data:
    """What is learnt from, and what is asked.

    Attributes:
      users: int 0 or 1 [num_users, num_items]; what each user has of the training split.
      user: int64 [num_queries]; rows of ``users``, -1 for one without any.
      had: int32 [num_queries, h]; of the user, when asked; seen: int32 [num_queries, s]; must not come back; both padded by -1.
    """

    users: sp.csr_matrix
    user: NDArray[np.int64]
    had: Items
    seen: Items

    @property
    def num_items(self) -> int:
        return int(self.users.shape[1])


def ials_lists(data: Data, settings: Ials, seed: int, k: int) -> Items:
    """int32 [num_queries, k]; each query's user is folded in: their factors are solved for by all they had when asked."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = _fitted(AlternatingLeastSquares, data.users, **asdict(settings), random_state=seed)

    def scores(queries: slice) -> NDArray[np.float32]:
        had = data.had[queries]
        query, place = np.nonzero(had >= 0)
        profile = sp.csr_matrix((np.ones(len(query), np.float32), (query, had[query, place])), (len(had), data.num_items))
        made: NDArray[np.float32] = model.recalculate_user(np.arange(len(had)), profile) @ model.item_factors.T
        return made

    return best_unseen(scores, data.seen, data.num_items, k)


def bpr_lists(data: Data, settings: Bpr, seed: int, k: int) -> Items:
    """int32 [num_queries, k]; by each user's factors as they were learnt; who was not there then gets what is popular."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    # Several threads would write over each other's steps, and no two runs would be alike.
    model = _fitted(BayesianPersonalizedRanking, data.users, **asdict(settings), random_state=seed, num_threads=1)

    def scores(queries: slice) -> NDArray[np.float32]:
        made: NDArray[np.float32] = model.user_factors[data.user[queries]] @ model.item_factors.T
        return made

    lists = best_unseen(scores, data.seen, data.num_items, k)
    new = data.user == UNKNOWN
    lists[new] = recommend_popular(np.asarray(data.users.sum(axis=0)).ravel(), data.seen[new], k)
    return lists


def check_library() -> None:
    """
    Raises:
      ConfigError: the library is not installed.
    """
    try:
        import implicit  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the baselines of a benchmark need the package implicit, which cannot be imported ({error}); wanted it installed: "
            "`make env` does so in a checkout, and else pip's extra winnow-recsys[benchmark]"
        ) from error


def _fitted(kind: Any, users: sp.csr_matrix, **settings: Any) -> Any:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # the library has threads of its own
        model = kind(**settings)
        model.fit(users.astype(np.float32), show_progress=False)
    return model
