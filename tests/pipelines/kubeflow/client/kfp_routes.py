"""The REST API of Kubeflow Pipelines as its generated client knows it: every route, what it takes, what it gives.

Nothing here is written down by hand: each method of the client's API classes is called once with a client that keeps what it
was to send, and the models say which fields there are and of which type.
"""

import datetime
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import kfp_server_api

INT64_FIELDS = {"max_concurrency", "interval_second", "long_value", "execution_id"}  # JSON has them as text or as numbers
_CLIENT = kfp_server_api.ApiClient()
_NATIVE: dict[str, type | tuple[type, ...]] = {
    "str": str, "int": int, "bool": bool, "object": object, "datetime": datetime.datetime, "file": str,
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    """One call. ``body`` and ``answer`` are names of models, ``operation`` is the client's method."""

    operation: str
    method: str
    path: str
    query: frozenset[str]
    body: str | None
    takes_file: bool
    answer: str

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """What the path holds in its places, if it is this route's."""
        pattern = re.sub(r"\{([^}]+)\}", lambda place: f"(?P<{place[1].replace('.', '_')}>[^/:]+)", self.path)
        found = re.fullmatch(pattern, path) if method == self.method else None
        return found.groupdict() if found else None


def routes() -> list[Route]:
    """Those without places in their paths first: ``/pipelines/upload`` is no pipeline of that id."""
    found = [
        _route(service, name.removesuffix("_with_http_info"))
        for service in vars(kfp_server_api).values()
        if inspect.isclass(service) and service.__name__.endswith("ServiceApi")
        for name in dir(service)
        if name.endswith("_with_http_info")
    ]
    return sorted(found, key=lambda route: (route.path.count("{"), route.path, route.method))


def read(body: bytes, model: str) -> Any:
    """A request's JSON as the model that it must be.

    Raises:
      ValueError: it has a field that the model lacks, or a value of another type.
    """
    raw = json.loads(body)
    parsed = _CLIENT.deserialize(SimpleNamespace(data=body), model)
    wrong = sorted(_differences(raw, _CLIENT.sanitize_for_serialization(parsed), ""))
    if wrong:
        raise ValueError(f"{model}: {', '.join(wrong)}")
    check(parsed, model)
    return parsed


def write(answer: Any, model: str) -> bytes:
    """An answer's JSON, which must be of the model that the client expects."""
    check(answer, model)
    return json.dumps(_CLIENT.sanitize_for_serialization(answer)).encode()


def check(value: Any, kind: str, where: str = "") -> None:
    """Raise ValueError where a value, or anything in it, is not of the type that the models declare."""
    if value is None:
        return
    if kind.startswith("list["):
        for each in value:
            check(each, kind[len("list[") : -1], where)
    elif kind.startswith("dict("):
        for each in value.values():
            check(each, kind.removesuffix(")").partition(", ")[2], where)
    elif kind in _NATIVE:
        if not isinstance(value, _NATIVE[kind]) and not (kind == "str" and where in INT64_FIELDS and type(value) is int):
            raise ValueError(f"{where}: found {value!r}, wanted {kind}")
    else:
        model = getattr(kfp_server_api, kind)
        allowed = getattr(model, "allowable_values", None)
        if allowed is not None:
            if value not in allowed:
                raise ValueError(f"{where}: found {value!r}, wanted one of {allowed}")
            return
        if not isinstance(value, model):
            raise ValueError(f"{where}: found {type(value).__name__}, wanted {kind}")
        for name, inner in model.openapi_types.items():
            check(getattr(value, name), inner, name)


class _Kept(Exception):  # noqa: N818  no error, it brings the call back
    pass


class _Recorder:
    """In place of the client that sends: keeps the call."""

    client_side_validation = False

    def select_header_accept(self, accepts: list[str]) -> str:
        return accepts[0]

    select_header_content_type = select_header_accept

    def call_api(self, path: str, method: str, *given: Any, **more: Any) -> None:
        _, query, _ = given
        raise _Kept(path, method, query, more)


def _route(service: type, operation: str) -> Route:
    call = getattr(service(_Recorder()), f"{operation}_with_http_info")
    documented = dict(re.findall(r":type (\w+): (\S+)", inspect.getdoc(call) or ""))
    arguments = {name: name for name in documented if not name.startswith("_") and name != "async_req"}
    try:
        call(**arguments)
    except _Kept as kept:
        path, method, query, more = kept.args
    return Route(
        operation=operation,
        method=method,
        path=path,
        query=frozenset(name for name, _ in query),
        body=documented[more["body"]] if isinstance(more["body"], str) else None,
        takes_file=bool(more["files"]),
        answer=more["response_type"],
    )


def _differences(raw: Any, kept: Any, where: str) -> Iterator[str]:
    """Fields that the model has dropped, and values that it has made others of to fit its types."""
    if isinstance(raw, dict) and isinstance(kept, dict):
        for key, value in raw.items():
            if value is None:
                continue
            if key in kept:
                yield from _differences(value, kept[key], f"{where}.{key}".lstrip("."))
            else:
                yield f"{where}.{key}: unknown field".lstrip(".")
    elif isinstance(raw, list) and isinstance(kept, list):
        for index, value in enumerate(raw):
            yield from _differences(value, kept[index], f"{where}[{index}]")
    elif type(raw) is not type(kept) and not (type(raw) is int and where.rpartition(".")[2] in INT64_FIELDS):
        yield f"{where}: found {raw!r}, wanted {type(kept).__name__}"
