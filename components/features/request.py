"""One user's request as the models take it: arrays of one row, from the state, the profile and the moment.

The batch tier makes the same of whole tables in ``components.samples.build``; what counts as history, how old it is and
how it is counted comes from ``UserPast.as_of`` in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import FeatureKind, PipelineConfig
from components.features.context import CALENDAR
from components.features.user import UserState
from components.schema import samples as names
from components.schema.events import CONTEXT_PREFIX, MS_PER_DAY

Inputs = dict[str, NDArray[Any]]
_LISTS = (FeatureKind.MULTI_VALUED, FeatureKind.TEXT)
_SINGLE_TEXTS = (FeatureKind.ID, FeatureKind.CATEGORICAL)


@dataclass(frozen=True)
class RequestForm:
    """What the requests of one release look like.

    Attributes:
      types: event types of the history; a type's place is its code.
    """

    config: PipelineConfig
    types: tuple[str, ...]

    def inputs(
        self, user_id: str, moment_ms: int, state: UserState, profile: Mapping[str, Any], context: Mapping[str, str]
    ) -> Inputs:
        """The inputs of the signatures that take a request, each with a batch of one.

        Args:
          profile: the user's features as the catalogue has them; one that is missing is unknown.
          context: the configured context columns; one that is missing is unknown.
        """
        moment = np.array([moment_ms], np.int64)
        values = state.past().as_of(np.zeros(1, np.int64), moment, self.config.samples.history_length)
        held = slice(int(values.history_start[0]), int(values.history_end[0]))
        age_s = ((moment_ms - state.timestamp_ms[held]) / 1000).astype(np.float32)
        made: Inputs = {
            names.USER_ID: np.array([user_id], object),
            names.TIMESTAMP: moment,
            names.USER_IDLE: values.idle_s,
            names.HISTORY_ITEM: _listed(state.item_id[held][::-1], ""),
            names.HISTORY_AGE: _listed(age_s[::-1], -1.0),
            names.HISTORY_VALUE: _listed(np.nan_to_num(state.value[held][::-1]), -1.0),
        }
        made |= {CONTEXT_PREFIX + name: CALENDAR[name](moment) for name in self.config.dataset.context}
        made |= {
            CONTEXT_PREFIX + name: np.array([context.get(name, "")], object) for name in self.config.dataset.events.context
        }
        made |= {name: values.event_counts[:, code] for code, name in enumerate(names.count_names(self.types))}
        for name, feature in self.config.dataset.user_features.items():
            made[name] = _user_feature(profile.get(name), feature.kind, moment_ms)
        return {name: made[name] for name in names.query_features(self.config, self.types)}


def _user_feature(value: Any, kind: FeatureKind, moment_ms: int) -> NDArray[Any]:
    if kind in _LISTS:
        return _listed(np.array(value or [], object), "")
    if kind in _SINGLE_TEXTS:
        return np.array([value or ""], object)
    if value is None:
        return np.array([np.nan], np.float32)
    return np.array([(moment_ms - value) / MS_PER_DAY if kind is FeatureKind.TIMESTAMP else value], np.float32)


def _listed(values: NDArray[Any], padding: Any) -> NDArray[Any]:
    """[1, n]; a list of nothing is one place of padding, since some clients cannot send an empty one."""
    return (values if len(values) else np.array([padding], values.dtype))[np.newaxis]
