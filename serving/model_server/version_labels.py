"""The labels of versions: which version a label may be given to."""

import enum
from collections.abc import Mapping
from typing import Any

import grpc

from serving.model_server.model_config import ModelConfig
from serving.model_server.status import StatusError
from serving.model_server.version_state import ServedModel


class LabelPolicy(enum.Enum):
    """AVAILABLE_ONLY: to versions that are available. NEW_LABELS: a label that is new may also go to one that is not
    yet, so that a configuration can name it before it is loaded; one that is in use never moves to such a version.
    """

    AVAILABLE_ONLY = enum.auto()
    NEW_LABELS = enum.auto()


def checked_labels(config: ModelConfig, model: ServedModel[Any] | None, policy: LabelPolicy) -> Mapping[str, int]:
    """The labels that a configuration gives. Raises StatusError FAILED_PRECONDITION for one that it may not."""
    available = set() if model is None else {version.number for version in model.available()}
    current = {} if model is None else model.labels
    for label, number in config.labels.items():
        may_wait = policy is LabelPolicy.NEW_LABELS and current.get(label, number) == number
        if number not in available and not may_wait:
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Request to assign label to version {number} of model {config.name}, "
                "which is not currently available for inference",
            )
    return dict(config.labels)
