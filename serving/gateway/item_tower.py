"""Vectors of single items, by a release's own item tower."""

from collections.abc import Mapping

import grpc
import numpy as np
from numpy.typing import NDArray

from components.features.item_form import item_inputs
from serving.gateway.item_values import still_fitting
from serving.gateway.release import Release
from serving.inference import InferenceError, ModelClient
from serving.item_store import LiveItem

TIMEOUT_S = 10.0
# What says nothing of the items that were sent: the server is away, is busy, or has not loaded the version yet.
AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
    }
)


def embedded(
    models: ModelClient, release: Release, items: Mapping[str, LiveItem]
) -> dict[str, NDArray[np.float32] | InferenceError]:
    """Each item's vector, float32 [dim], or why the tower refuses the item: one that it refuses does not keep the others.

    Raises:
      InferenceError: the tower cannot be asked now.
    """
    columns, ids = release.config.dataset.item_features, list(items)
    inputs = item_inputs(ids, [still_fitting(item.features, columns) for item in items.values()], columns)
    try:
        answer = models.predict("retrieval", inputs, signature="item", version=release.version, timeout_s=TIMEOUT_S)
    except InferenceError as error:
        if error.code in AWAY:
            raise
        if len(ids) == 1:
            return {ids[0]: error}
        middle = len(ids) // 2
        halves = ({item_id: items[item_id] for item_id in half} for half in (ids[:middle], ids[middle:]))
        return {item_id: each for half in halves for item_id, each in embedded(models, release, half).items()}
    return dict(zip(ids, answer["embedding"], strict=True))
