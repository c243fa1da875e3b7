"""Rankers: a request and its candidates → one logit per task per candidate.

``inputs.py`` holds what all of them see, ``ranker.py`` how inputs, body and heads come together, the other files the
bodies, one family each. ``BODIES`` names them as ``ranking.model`` does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tf_keras as keras

from components.config import RankingConfig
from components.models.heads import HEADS
from components.models.rankers.bst import Bst
from components.models.rankers.dcn import DcnV2, DcnV2Mix
from components.models.rankers.dien import Dien
from components.models.rankers.din import Din
from components.models.rankers.dlrm import Dlrm
from components.models.rankers.factorization import Mf, NeuMf
from components.models.rankers.inputs import RankerParts
from components.models.rankers.ranker import Ranker
from components.models.rankers.wide import DeepFm, WideDeep

BODIES: Mapping[str, Callable[[RankerParts, int, Any], keras.layers.Layer]] = {
    "mf": Mf,
    "neumf": NeuMf,
    "wide_deep": WideDeep,
    "deepfm": DeepFm,
    "dlrm": Dlrm,
    "dcn_v2": DcnV2,
    "dcn_v2_mix": DcnV2Mix,
    "din": Din,
    "dien": Dien,
    "bst": Bst,
}


def make_ranker(parts: RankerParts, settings: RankingConfig) -> Ranker:
    """The ranker that the config names, with the heads that it names."""
    body = BODIES[settings.model.name](parts, settings.embedding_dim, settings.model)
    heads = HEADS[settings.heads.name](len(parts.tasks), settings.heads)
    return Ranker(parts, settings.embedding_dim, body, heads)


__all__ = ["BODIES", "Ranker", "RankerParts", "make_ranker"]
