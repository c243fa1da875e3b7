"""Requests put together into one run of a model, and its outputs taken apart again."""

from collections.abc import Mapping, Sequence

import grpc
import numpy as np

from serving.model_server.batching_parameters import BatchingParameters
from serving.model_server.status import StatusError, invalid_argument

Feeds = Mapping[str, np.ndarray]
# The ranks that TensorFlow's own padding knows.
_MAX_PADDED_RANK = 6


def batch_size(feeds: Feeds) -> int:
    """The first dimension that all inputs of a request share. Raises StatusError INVALID_ARGUMENT where they do not."""
    if not feeds:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    if any(not array.ndim for array in feeds.values()):
        raise invalid_argument("Batching Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in feeds.values()}
    if len(sizes) > 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def merge(all_feeds: Sequence[Feeds], size: int, parameters: BatchingParameters) -> dict[str, np.ndarray]:
    """The inputs of several requests end to end, ``size`` rows in all, and rows to fill up to an allowed batch size.

    The filling repeats the first row of the last request, which the model can take for certain. Raises StatusError
    where the rows of requests have different shapes that may not, or cannot, be padded to one.
    """
    merged = {}
    for name in all_feeds[0]:
        arrays = [feeds[name] for feeds in all_feeds]
        arrays = _padded(arrays) if parameters.pad_variable_length_inputs else _same_shapes(name, arrays)
        missing = parameters.allowed_size(size) - size
        if missing and size:
            last = next(array for array in reversed(arrays) if len(array))
            arrays.append(np.repeat(last[:1], missing, axis=0))
        merged[name] = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    return merged


def split(outputs: Sequence[np.ndarray], sizes: Sequence[int], batch_rows: int) -> list[list[np.ndarray]]:
    """For each request, of ``sizes`` rows, its part of each output of a batch of ``batch_rows`` rows.

    Raises StatusError FAILED_PRECONDITION for an output that is not made of rows.
    """
    for output in outputs:
        if not output.ndim:
            raise StatusError(grpc.StatusCode.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
        if len(output) != batch_rows:
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
            )
    ends = np.cumsum(sizes).tolist()
    return [[output[end - size : end] for output in outputs] for size, end in zip(sizes, ends, strict=True)]


def _same_shapes(name: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    if len({array.shape[1:] for array in arrays}) > 1:
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
            "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
            "starting with the first dim.",
        )
    return arrays


def _padded(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Each array made as long as the longest in every dimension but the first, with its own first value."""
    rank = arrays[0].ndim
    if rank > _MAX_PADDED_RANK:
        raise invalid_argument("Only tensors with rank from 1 to 6 can be padded.")
    if any(array.ndim != rank for array in arrays):
        raise invalid_argument("Only tensors of one rank can be padded to one shape.")
    longest = [max(array.shape[axis] for array in arrays) for axis in range(1, rank)]
    return [_padded_to(array, longest) for array in arrays]


def _padded_to(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    if list(array.shape[1:]) == list(shape):
        return array
    if not array.size:
        raise invalid_argument("Got empty tensor in batch of non-empty tensors.")
    padded = np.full((len(array), *shape), array.flat[0], dtype=array.dtype)
    padded[tuple(slice(size) for size in array.shape)] = array
    return padded
