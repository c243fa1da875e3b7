"""Whatever is refused is refused in one shape: what was wrong, and in which field of the request."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from components.errors import ServingError
from serving.gateway.api import Refusal
from serving.gateway.errors import UnfitRequestError, UnknownItemError

# By status: what OpenAPI says of the replies that any route may give.
DESCRIPTIONS = {
    400: "the body is no text in UTF-8, or holds a number that no machine takes",
    401: "no key, or an unknown one",
    403: "the key is for something else",
    404: "there is no such thing",
    405: "the path knows other methods",
    408: "the body took too long to come",
    413: "the body is too long",
    415: "the body is not plain JSON",
    421: "the Host is not this machine, and there are no keys",
    422: "a field is unknown, missing, or out of its bounds",
    429: "too many requests; Retry-After says when to come again",
    503: "what the request needs does not answer",
}
DECLARED: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": description} for status, description in DESCRIPTIONS.items()
}


def refusal(status: int, error: str, field: str | None = None, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(Refusal(error=error, field=field).model_dump(exclude_none=True), status, headers)


def answer_errors(app: FastAPI) -> None:
    """Have the application answer its errors as refusals; an error that nobody expected says nothing of its cause."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: object, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]  # its ``input`` is not repeated: the client has it, and logs of replies should not
        if first["type"] == "json_invalid":
            return refusal(422, f"this is no JSON: {first['ctx']['error']} at {first['loc'][-1]}", "body")
        return refusal(422, first["msg"], ".".join(map(str, first["loc"])))

    @app.exception_handler(HTTPException)
    async def refused(_: object, error: HTTPException) -> JSONResponse:
        return refusal(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(UnfitRequestError)
    async def unfit(_: object, error: UnfitRequestError) -> JSONResponse:
        return refusal(422, str(error), ".".join(map(str, ("body", *error.where))))

    @app.exception_handler(UnknownItemError)
    async def unknown(_: object, error: UnknownItemError) -> JSONResponse:
        return refusal(404, str(error))

    @app.exception_handler(ServingError)
    async def unavailable(_: object, error: ServingError) -> JSONResponse:
        return refusal(503, str(error))

    @app.exception_handler(Exception)
    async def failed(_: object, error: Exception) -> JSONResponse:
        return refusal(500, "the gateway failed; its log says why")
