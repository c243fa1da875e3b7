"""The edge of every gRPC method: errors become a status, and nothing else leaves a method."""

import logging
from collections.abc import Callable
from typing import TypeVar

import grpc

from serving.model_server.status import StatusError

_log = logging.getLogger(__name__)
# Details travel in trailing metadata, of which a client takes eight kilobytes; TensorFlow's messages can be longer.
_MAX_DETAILS_CHARS = 2000
_RequestT = TypeVar("_RequestT")
_ResponseT = TypeVar("_ResponseT")


def answer(method: Callable[[_RequestT], _ResponseT], request: _RequestT, context: grpc.ServicerContext) -> _ResponseT:
    """What ``method`` makes of ``request``; where it raises, the call is ended with the error's code and message."""
    try:
        return method(request)
    except StatusError as error:
        failure = error
    except Exception as error:
        _log.exception("%s failed", method.__name__)
        failure = StatusError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
    context.abort(failure.code, failure.message[:_MAX_DETAILS_CHARS])
    raise AssertionError("abort raises")
