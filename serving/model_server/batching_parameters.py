"""The batching parameters: TensorFlow Serving's BatchingParameters proto, its defaults, and what it will not take."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from serving.model_server.own_protos import MessageTable, message_classes
from serving.model_server.status import invalid_argument
from serving.model_server.text_proto import read_text_proto

# The file that a version may bring beside its model, where per-model parameters are asked for.
PER_MODEL_FILE = "batching_params.pbtxt"

_INT64_VALUE, _BOOL_VALUE, _STRING_VALUE = (f".google.protobuf.{kind}Value" for kind in ("Int64", "Bool", "String"))
_MESSAGES: MessageTable = {
    "BatchingParameters": {
        "max_batch_size": (1, _INT64_VALUE),
        "batch_timeout_micros": (2, _INT64_VALUE),
        "max_enqueued_batches": (3, _INT64_VALUE),
        "num_batch_threads": (4, _INT64_VALUE),
        "thread_pool_name": (5, _STRING_VALUE),
        "allowed_batch_sizes": (6, "*int64"),
        "pad_variable_length_inputs": (7, "bool"),
        "enable_large_batch_splitting": (8, _BOOL_VALUE),
        "max_execution_batch_size": (9, _INT64_VALUE),
    }
}
_CLASSES = message_classes("winnow/batching_parameters.proto", _MESSAGES)
_EXAMPLE = "max_batch_size { value: 128 } batch_timeout_micros { value: 1000 } num_batch_threads { value: 4 }"


@dataclass(frozen=True)
class BatchingParameters:
    """How requests are put together into batches. Sizes count rows, the sum of the requests' first dimensions.

    ``max_execution_batch_size`` None means that a request is never split; with a number, a request of up to
    ``max_batch_size`` rows is split into batches of that many.
    """

    max_batch_size: int = 1000
    batch_timeout_us: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    max_execution_batch_size: int | None = None

    def __post_init__(self) -> None:
        """Raises StatusError INVALID_ARGUMENT where the parameters do not go together."""
        for name in ("max_batch_size", "num_batch_threads"):
            if getattr(self, name) <= 0:
                raise invalid_argument(f"{name} must be positive; was {getattr(self, name)}")
        for name in ("batch_timeout_us", "max_enqueued_batches"):
            if getattr(self, name) < 0:
                raise invalid_argument(f"{name} must be non-negative; was {getattr(self, name)}")
        if not 0 < self.execution_limit <= self.max_batch_size:
            raise invalid_argument(
                f"max_execution_batch_size must be from 1 to max_batch_size ({self.max_batch_size}); was {self.execution_limit}"
            )
        if list(self.allowed_batch_sizes) != sorted(set(self.allowed_batch_sizes)):
            raise invalid_argument("allowed_batch_sizes entries must be monotonically increasing")
        if self.allowed_batch_sizes and self.allowed_batch_sizes[-1] != self.execution_limit:
            rule = "match max_batch_size" if self.max_execution_batch_size is None else "be equal to max_execution_batch_size"
            raise invalid_argument(
                f"Last entry in allowed_batch_sizes must {rule}; last entry was {self.allowed_batch_sizes[-1]}; "
                f"expected {self.execution_limit}"
            )

    @property
    def execution_limit(self) -> int:
        """The most rows that the model is given at once."""
        return self.max_batch_size if self.max_execution_batch_size is None else self.max_execution_batch_size

    def allowed_size(self, size: int) -> int:
        """The smallest allowed batch size that holds ``size`` rows."""
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)

    @classmethod
    def from_proto(cls, proto: Any) -> Self:
        """Raises StatusError INVALID_ARGUMENT where the parameters do not go together."""
        given = {
            "max_batch_size": "max_batch_size",
            "batch_timeout_micros": "batch_timeout_us",
            "max_enqueued_batches": "max_enqueued_batches",
            "num_batch_threads": "num_batch_threads",
            "thread_pool_name": "thread_pool_name",
        }
        values = {ours: getattr(proto, theirs).value for theirs, ours in given.items() if proto.HasField(theirs)}
        if proto.enable_large_batch_splitting.value:
            limit = proto.max_execution_batch_size if proto.HasField("max_execution_batch_size") else proto.max_batch_size
            values["max_execution_batch_size"] = limit.value
        return cls(
            **values,
            allowed_batch_sizes=tuple(proto.allowed_batch_sizes),
            pad_variable_length_inputs=proto.pad_variable_length_inputs,
        )


def read_batching_parameters(path: Path) -> BatchingParameters:
    """The parameters in a file. Raises ServingError where it is no BatchingParameters in text form, or a wrong one."""
    proto = read_text_proto(path, _CLASSES["BatchingParameters"](), "a BatchingParameters", _EXAMPLE)
    return BatchingParameters.from_proto(proto)
