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

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """The arrays of the tensors named in ``fetches``, in that order; ``feeds`` is by tensor name too.

        Raises StatusError with TensorFlow's code and message where the graph refuses the inputs.
        """
        ...

    def close(self) -> None:
        """Free what the version holds. No run may be under way."""
        ...
