"""What a model takes and gives: one of its SignatureDefs, as the server reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from serving.model_server.status import invalid_argument
from serving.model_server.tensor_proto import array_from_proto

DEFAULT_SIGNATURE = "serving_default"
PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD = (f"tensorflow/serving/{call}" for call in ("predict", "classify", "regress"))


@dataclass(frozen=True)
class TensorSlot:
    """One input or output of a signature: the name of its tensor in the graph, and its DataType number."""

    tensor_name: str
    type_number: int


@dataclass(frozen=True)
class Signature:
    """Alias to tensor, for inputs and outputs in the order of their aliases.

    ``defaults`` holds the inputs that a request may leave out; ``proto`` is the SignatureDef itself, for messages. With
    ``has_checked_method``, the signature is for the call that its method name tells of, and for no other.
    """

    name: str
    inputs: Mapping[str, TensorSlot]
    outputs: Mapping[str, TensorSlot]
    defaults: Mapping[str, np.ndarray]
    proto: Any = field(repr=False, compare=False)
    has_checked_method: bool = False

    @classmethod
    def from_proto(cls, name: str, proto: Any, *, has_checked_method: bool = False) -> Self:
        return cls(
            name=name,
            inputs={alias: _slot(proto.inputs[alias]) for alias in sorted(proto.inputs)},
            outputs={alias: _slot(proto.outputs[alias]) for alias in sorted(proto.outputs)},
            defaults={alias: array_from_proto(proto.defaults[alias]) for alias in proto.defaults},
            proto=proto,
            has_checked_method=has_checked_method,
        )

    def check_method(self, call: str, *wanted: str) -> None:
        """Raise StatusError where method names count and this one's is none of ``wanted``."""
        found = self.proto.method_name if self.has_checked_method else wanted[0]
        if found not in wanted:
            names = wanted[0] if len(wanted) == 1 else f"one of {{{', '.join(wanted)}}}"
            raise invalid_argument(f"Expected {call} signature method_name to be {names}. Was: {found}")

    @property
    def is_plain(self) -> bool:
        """Whether all of it is tensors. The loader's own signatures name operations; composite tensors have no name."""
        return bool(self.outputs) and all(":" in slot.tensor_name for slot in (*self.inputs.values(), *self.outputs.values()))


def find_named_signature(signatures: Mapping[str, Signature], name: str) -> Signature:
    """The signature of that name, or the default one where the name is empty, for Classify and Regress.

    Raises StatusError with those calls' own code and words; Predict has others.
    """
    wanted = name or DEFAULT_SIGNATURE
    if wanted not in signatures:
        raise invalid_argument(f"No signature was found with the name: {wanted}")
    return signatures[wanted]


def _slot(info: Any) -> TensorSlot:
    return TensorSlot(tensor_name=info.name, type_number=info.dtype)
