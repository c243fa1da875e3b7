"""Items with their features as the item tower takes them, made of what the catalogue holds of each.

Training makes the same of the catalogue's columns in ``components.training.items``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.config import FeatureColumn, FeatureKind
from components.features.request import Inputs
from components.schema import samples as names
from components.schema.events import MS_PER_DAY


def item_inputs(item_ids: Sequence[str], values: Sequence[Mapping[str, Any]], columns: Mapping[str, FeatureColumn]) -> Inputs:
    """The inputs of the signature ``item``, for a batch of n items.

    Args:
      values: each item's features in the form of the catalogue (``ARROW_TYPES``); one that is missing is unknown.
    """
    made: Inputs = {names.ITEM_ID: np.array(item_ids, object)}
    for name, column in columns.items():
        held = [each.get(name) for each in values]
        if column.kind in (FeatureKind.ID, FeatureKind.CATEGORICAL):
            made[name] = np.array([value or "" for value in held], object)
        elif column.kind in (FeatureKind.NUMBER, FeatureKind.TIMESTAMP):
            unit = MS_PER_DAY if column.kind is FeatureKind.TIMESTAMP else 1
            made[name] = np.array([np.nan if value is None else value / unit for value in held], np.float32)
        else:
            width = max(1, *(len(value or []) for value in held), 1)
            made[name] = np.array([[*(value or []), *[""] * (width - len(value or []))] for value in held], object)
    return made
