"""Run one signature of a model on named arrays, whatever the transport that brought them."""

from collections.abc import Mapping, Sequence

import grpc
import numpy as np

from serving.model_server.servable import Servable
from serving.model_server.signature import CLASSIFY_METHOD, DEFAULT_SIGNATURE, PREDICT_METHOD, REGRESS_METHOD, Signature
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.tensor_proto import type_of_array, type_of_number


def find_signature(servable: Servable, name: str) -> Signature:
    """The signature of that name, or the default one where the name is empty."""
    wanted = name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(wanted)
    if signature is None:
        raise StatusError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{wanted}" not found.')
    return signature


def predict(
    servable: Servable, signature: Signature, inputs: Mapping[str, np.ndarray], output_filter: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Output alias to array, for the outputs in ``output_filter`` or for all.

    Raises StatusError where the inputs are not those of the signature, an output is unknown, or the graph refuses.
    """
    signature.check_method("prediction", PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)
    outputs = _chosen_outputs(signature, output_filter)
    _check_aliases(signature, inputs)
    for alias, array in inputs.items():
        _check_type(signature, alias, array)
    if signature.defaults:
        inputs = {**signature.defaults, **inputs}
    feeds = {slot.tensor_name: inputs[alias] for alias, slot in signature.inputs.items()}
    fetches = [signature.outputs[alias].tensor_name for alias in outputs]
    return dict(zip(outputs, servable.run(feeds, fetches), strict=True))


def _chosen_outputs(signature: Signature, output_filter: Sequence[str]) -> tuple[str, ...]:
    for position, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{','.join(signature.outputs)}}}."
            )
        if alias in output_filter[:position]:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
    return tuple(output_filter) or tuple(signature.outputs)


def _check_aliases(signature: Signature, inputs: Mapping[str, np.ndarray]) -> None:
    extra = sorted(inputs.keys() - signature.inputs.keys())
    missing = sorted(signature.inputs.keys() - inputs.keys() - signature.defaults.keys())
    if extra or missing:
        raise invalid_argument(
            f"input size does not match signature: {len(inputs)}!={len(signature.inputs)} "
            f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(signature.inputs)}}}). "
            f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )


def _check_type(signature: Signature, alias: str, array: np.ndarray) -> None:
    wanted = signature.inputs[alias].type_number
    found = type_of_array(array)
    if found.number != wanted:
        wanted_type = type_of_number(wanted)
        wanted_name = wanted_type.name if wanted_type else f"DataType {wanted}"
        raise invalid_argument(f'input "{alias}" expects {wanted_name} but {found.name} is provided')
