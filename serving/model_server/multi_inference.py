"""MultiInference: several classifiers and regressors of one model over the same Examples, in one run of the graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from serving.model_server import classification, regression
from serving.model_server.servable import Servable
from serving.model_server.signature import CLASSIFY_METHOD, DEFAULT_SIGNATURE, REGRESS_METHOD, Signature
from serving.model_server.status import StatusError, invalid_argument


@dataclass(frozen=True)
class _Method:
    """How one kind of task names its tensors, and how and where its result is filled in."""

    tensors: Callable[[Signature], tuple[str, list[str]]]
    fill: Callable[[Signature, int, Mapping[str, np.ndarray], Any], None]
    result_field: str


_METHODS = {
    CLASSIFY_METHOD: _Method(
        classification.classification_tensors, classification.fill_classifications, "classification_result"
    ),
    REGRESS_METHOD: _Method(regression.regression_tensors, regression.fill_regressions, "regression_result"),
}


def infer(servable: Servable, version: int, tasks: Any, examples: np.ndarray, response: Any) -> None:
    """Fill a MultiInferenceResponse with the result of each task, in order.

    Args:
      tasks: InferenceTask protos.
      examples: shape [num_examples], serialised Examples.

    Raises:
      StatusError: the tasks are of several models, or two are of one signature, or one is neither Classify nor Regress.
    """
    planned: list[tuple[Signature, _Method]] = []
    input_names: set[str] = set()
    output_names: set[str] = set()
    for task in tasks:
        signature = _signature(servable, task, tasks[0].model_spec.name, [done.name for done, _ in planned])
        method = _METHODS.get(task.method_name)
        if method is None:
            raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        input_name, outputs = method.tensors(signature)
        planned.append((signature, method))
        input_names.add(input_name)
        output_names.update(outputs)
        if len(input_names) > 1:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
    fetches = sorted(output_names)
    arrays = dict(zip(fetches, servable.run(dict.fromkeys(input_names, examples), fetches), strict=True))
    for task, (signature, method) in zip(tasks, planned, strict=True):
        result = response.results.add()
        method.fill(signature, len(examples), arrays, getattr(result, method.result_field))
        # Present even where the model answered without a single class.
        getattr(result, method.result_field).SetInParent()
        result.model_spec.name = task.model_spec.name
        result.model_spec.signature_name = signature.name
        result.model_spec.version.value = version


def _signature(servable: Servable, task: Any, first_name: str, done: list[str]) -> Signature:
    if not task.model_spec.name:
        raise invalid_argument("Found ModelSpec with an empty model name.")
    if task.model_spec.name != first_name:
        raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
    name = task.model_spec.signature_name or DEFAULT_SIGNATURE
    if name in done:
        raise invalid_argument(f"Duplicate evaluation of signature: {name}")
    if name not in servable.signatures:
        raise invalid_argument(f"Requested signature not found in model graph: {name}")
    return servable.signatures[name]
