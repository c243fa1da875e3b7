"""The Examples of a Classify, Regress or MultiInference request, as the one string tensor that a model parses."""

from typing import Any

import numpy as np

from serving.model_server.status import invalid_argument


def serialized_examples(model_input: Any) -> np.ndarray:
    """Shape [num_examples], dtype object: the Examples of an Input proto, each serialised, ``bytes``.

    A context's features belong to each Example that does not have them itself: protobuf merges what is written end to
    end, and the later entry of a map wins. Raises StatusError where there is no Example.
    """
    match model_input.WhichOneof("kind"):
        case "example_list":
            context = b""
            examples = model_input.example_list.examples
        case "example_list_with_context":
            context = model_input.example_list_with_context.context.SerializeToString()
            examples = model_input.example_list_with_context.examples
        case _:
            context, examples = b"", ()
    if not examples:
        raise invalid_argument("Input is empty.")
    serialized = np.empty(len(examples), dtype=object)
    serialized[:] = [context + example.SerializeToString() for example in examples]
    return serialized
