"""What a loaded version of a model can do, whatever is behind it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from serving.model_server.signature import Signature


class Servable(Protocol):
    """One version of a model in memory, ready to run. Threads may run it side by side."""

    @property
    def signatures(self) -> Mapping[str, Signature]: ...

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The SignatureDef protos, as the model's metadata gives them."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], timeout_s: float | None = None) -> list[np.ndarray]:
        """The arrays of the tensors named in ``fetches``, in that order; ``feeds`` is by tensor name too.

        ``timeout_s`` bounds the wait before the run, if there is one; None for no bound. Raises StatusError with
        TensorFlow's code and message where the graph refuses the inputs.
        """
        ...

    def close(self) -> None:
        """Free what the version holds. No run may be under way."""
        ...


class HurriedServable:
    """A servable whose runs all have the same bound on their wait."""

    def __init__(self, servable: Servable, timeout_s: float) -> None:
        self._servable = servable
        self._timeout_s = timeout_s

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._servable.signatures

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        return self._servable.signature_defs

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], timeout_s: float | None = None) -> list[np.ndarray]:
        return self._servable.run(feeds, fetches, self._timeout_s if timeout_s is None else timeout_s)

    def close(self) -> None:
        self._servable.close()
