"""The one error of the model server and of its client: a canonical status code and a message."""

import grpc

from components.errors import ServingError

_CODE_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


class StatusError(ServingError):
    """A request, a load or a call that failed.

    ``code`` is the canonical code, which gRPC sends as it is and REST turns into an HTTP status; ``message`` is the
    text that goes with it on the wire.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid_argument(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def code_from_number(number: int) -> grpc.StatusCode:
    """The code of a number as protos and TensorFlow's errors carry it; UNKNOWN for a number that has no code."""
    return _CODE_BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN)
