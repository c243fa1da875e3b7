"""What a request and its answer become in the event stream."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.features.request import Inputs
from serving.gateway.api import Event, RecommendReply, RecommendRequest
from serving.records import EventRecord, Place, ShownRecord

IMPRESSION = "impression"  # where the data set had no impressions and so no name for them
CERTAIN = 1.0  # nothing is drawn by lot yet: the same request at the same moment gets the same list


def event_record(event: Event, config: PipelineConfig, received_ms: int) -> dict[str, Any]:
    fields = event.model_dump(exclude={"context"})
    return EventRecord(**fields, context=_context(event.context, config), received_ms=received_ms).model_dump()


def shown_record(
    request: RecommendRequest, reply: RecommendReply, inputs: Inputs, config: PipelineConfig, now_ms: int
) -> dict[str, Any]:
    """
    Args:
      inputs: what the models were asked with; shapes [1, ...].
      now_ms: the gateway's own moment; the request can be as of another one.
    """
    places = (
        Place(
            position=item.rank,
            item_id=item.item_id,
            score=item.score,
            propensity=CERTAIN,
            tasks=item.tasks,
            sources=item.sources,
        )
        for item in reply.items
    )
    return ShownRecord(
        request_id=reply.request_id,
        user_id=request.user_id,
        type=config.samples.impressions or IMPRESSION,
        timestamp_ms=request.timestamp_ms or now_ms,
        received_ms=now_ms,
        release=reply.release,
        context=_context(request.context, config),
        places=tuple(places),
        experiments=reply.experiments,
        fallbacks=tuple(reply.fallbacks),
        features={name: _column(values) for name, values in inputs.items()},
    ).model_dump()


def _context(given: Mapping[str, str], config: PipelineConfig) -> dict[str, str | None]:
    return {name: given.get(name) for name in config.dataset.events.context}


def _column(values: NDArray[Any]) -> list[Any]:
    """float32 by the fewest digits that mean it, half as many as the float64 of the same value has."""
    if values.dtype == np.float32:
        values = values.astype(np.str_).astype(np.float64)
    listed: list[Any] = values.tolist()
    return listed
