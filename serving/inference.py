"""The client of a model server: gRPC to TensorFlow Serving or to the embedded server, the same code for both.

It imports no TensorFlow: a process that only asks for predictions starts in a fraction of a second.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np

from serving.model_server import wire
from serving.model_server.status import StatusError, code_from_number
from serving.model_server.tensor_proto import array_from_proto, fill_content

_AVAILABLE = "AVAILABLE"
_END = "END"
# How often a server is asked whether a version is there yet.
_POLL_INTERVAL_S = 0.05

_WHAT_TO_DO = {
    grpc.StatusCode.UNAVAILABLE: "is the server running, and is this its gRPC port?",
    grpc.StatusCode.DEADLINE_EXCEEDED: "give the client a longer timeout_s, or send less in one request",
    grpc.StatusCode.NOT_FOUND: "ask for the model's status to see which versions are served",
    grpc.StatusCode.INVALID_ARGUMENT: "compare the inputs with the model's signature",
    grpc.StatusCode.FAILED_PRECONDITION: "compare the signature's name with those in the model's metadata",
    grpc.StatusCode.UNIMPLEMENTED: "is this the gRPC port of a model server?",
}


class InferenceError(StatusError):
    """A model server could not be reached, or refused a request. ``code`` and ``details`` are what it said."""

    def __init__(self, model: str, target: str, code: grpc.StatusCode, details: str) -> None:
        hint = _WHAT_TO_DO.get(code, "see the server's log")
        super().__init__(code, f"model {model} at {target}: {code.name}: {details} ({hint})")
        self.model = model
        self.target = target
        self.details = details


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version: START, LOADING, AVAILABLE, UNLOADING or END, and what went wrong, if anything."""

    version: int
    state: str
    error_code: grpc.StatusCode
    error_message: str


class ModelClient:
    """Asks the server at ``target`` (``host:port``) for predictions. Threads may share one client."""

    def __init__(self, target: str, timeout_s: float = 10.0) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # After a long absence gRPC would wait two minutes before it looks whether the server is back.
                ("grpc.max_reconnect_backoff_ms", 1_000),
            ],
        )
        self._predict: Callable[..., Any] = self._channel.unary_unary(
            wire.PREDICT_METHOD,
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )
        self._get_model_status: Callable[..., Any] = self._channel.unary_unary(
            wire.GET_MODEL_STATUS_METHOD,
            request_serializer=wire.GetModelStatusRequest.SerializeToString,
            response_deserializer=wire.GetModelStatusResponse.FromString,
        )

    def predict(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray],
        *,
        signature: str = "serving_default",
        version: int | None = None,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Output alias to array; strings come back as ``bytes`` in arrays of dtype object.

        ``version`` None asks for the highest that is served, ``outputs`` None for all outputs, ``timeout_s`` None for
        the client's own. Raises InferenceError, a ServingError.
        """
        request = wire.PredictRequest()
        _fill_spec(request.model_spec, model, version)
        request.model_spec.signature_name = signature
        for alias, array in inputs.items():
            try:
                fill_content(request.inputs.add(key=alias).value, np.asarray(array))
            except ValueError as error:
                raise self._error(model, grpc.StatusCode.INVALID_ARGUMENT, f"input {alias}: {error}") from error
        if outputs is not None:
            request.output_filter.extend(outputs)
        response = self._call(self._predict, model, request, self._timeout_s if timeout_s is None else timeout_s)
        return {entry.key: array_from_proto(entry.value) for entry in response.outputs}

    def status(self, model: str) -> list[VersionStatus]:
        """The versions of a model that the server has seen, in the server's order. Raises InferenceError."""
        return self._status(model, self._timeout_s)

    def wait_until_available(self, model: str, version: int | None = None, timeout_s: float = 60.0) -> None:
        """Return once a version (None: any) is served, be the server still starting or the version still loading.

        Raises InferenceError where the version failed to load, or where the time is up.
        """
        deadline = time.monotonic() + timeout_s
        seen = "the server was never reached"
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                statuses = self._status(model, min(left_s, self._timeout_s))
            except InferenceError as error:
                if error.code not in (
                    grpc.StatusCode.NOT_FOUND,
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                ):
                    raise
                seen = error.details
            else:
                wanted = [status for status in statuses if version is None or status.version == version]
                if any(status.state == _AVAILABLE for status in wanted):
                    return
                failed = [status for status in wanted if status.state == _END and status.error_message]
                if failed and len(failed) == len(wanted):
                    raise self._error(model, failed[0].error_code, f"version {failed[0].version}: {failed[0].error_message}")
                seen = ", ".join(f"version {status.version} is {status.state}" for status in statuses)
            time.sleep(_POLL_INTERVAL_S)
        wanted_text = "a version" if version is None else f"version {version}"
        raise self._error(
            model,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"{wanted_text} was not available within {timeout_s:g} s; last seen: {seen}",
        )

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _status(self, model: str, timeout_s: float) -> list[VersionStatus]:
        request = wire.GetModelStatusRequest()
        _fill_spec(request.model_spec, model, None)
        response = self._call(self._get_model_status, model, request, timeout_s)
        return [
            VersionStatus(
                version=status.version,
                state=wire.VERSION_STATES.get(status.state, str(status.state)),
                error_code=code_from_number(status.status.error_code),
                error_message=status.status.error_message,
            )
            for status in response.model_version_status
        ]

    def _call(self, method: Callable[..., Any], model: str, request: Any, timeout_s: float) -> Any:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self._error(model, error.code(), error.details() or "no details were given") from error

    def _error(self, model: str, code: grpc.StatusCode, details: str) -> InferenceError:
        return InferenceError(model, self.target, code, details)


def _fill_spec(spec: Any, model: str, version: int | None) -> None:
    spec.name = model
    if version is not None:
        spec.version.value = version
