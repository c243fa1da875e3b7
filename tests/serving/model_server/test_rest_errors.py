"""What the REST API says of a request that it cannot answer."""

import json
from typing import Any

import httpx
import pytest

from serving.model_server.process import EmbeddedServer

AFFINE = "/v1/models/affine:predict"
FEATURES = "/v1/models/features:predict"
KINDS = "/v1/models/kinds:predict"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/affine:predict", 400, "Malformed request: GET /v1/models/affine:predict"),
        ("POST", "/v1/models/affine", 400, "Malformed request: POST /v1/models/affine"),
        (
            "POST",
            "/v1/models/affine/versions/1/labels/canary:predict",
            400,
            "Malformed request: POST /v1/models/affine/versions/1/labels/canary:predict",
        ),
        ("GET", "/v1/models/absent", 404, "Could not find any versions of model absent"),
        ("GET", "/v1/models/affine/versions/9", 404, "Could not find version 9 of model affine"),
        ("GET", "/v1/models/absent/metadata", 404, "Servable not found for request: Latest(absent)"),
        (
            "GET",
            "/v1/models/affine/versions/9223372036854775808",
            400,
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
    ],
)
def test_paths(server: EmbeddedServer, method: str, path: str, status: int, message: str) -> None:
    reply = httpx.request(method, server.rest_url + path)
    assert (reply.status_code, reply.json()) == (status, {"error": message})
    assert reply.headers["content-type"] == "application/json"


def test_paths_outside_the_api_are_plainly_not_found(server: EmbeddedServer) -> None:
    reply = httpx.get(server.rest_url + "/elsewhere")
    assert (reply.status_code, reply.headers["content-type"]) == (404, "text/plain")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/absent:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(absent)"),
        # The model is looked for before the values are.
        ("/v1/models/absent:predict", {}, 404, "Servable not found for request: Latest(absent)"),
        ("/v1/models/absent/labels/stable:predict", {}, 400, "Unrecognized servable version label: stable"),
        (
            "/v1/models/affine/versions/9:predict",
            {"instances": [1]},
            404,
            "Servable not found for request: Specific(affine, 9)",
        ),
        (
            "/v1/models/affine/labels/stable:predict",
            {"instances": [1]},
            400,
            "Unrecognized servable version label: stable",
        ),
        (
            AFFINE,
            {"signature_name": "s", "instances": [1]},
            400,
            'Serving signature name: "s" not found in signature def',
        ),
        (
            AFFINE,
            {"signature_name": 1},
            400,
            "JSON Value: {\n    \"signature_name\": 1\n} not formatted correctly. 'signature_name' key must be a string value.",
        ),
        (AFFINE, "", 400, "JSON Parse error: The document is empty"),
        (AFFINE, {}, 400, "Missing 'inputs' or 'instances' key"),
        (AFFINE, [1], 400, "JSON Value: [\n    1\n] Is not object"),
        (
            AFFINE,
            {"instances": [1], "inputs": [1]},
            400,
            'JSON Value: {\n    "instances": [\n        1\n    ],\n    "inputs": [\n        1\n    ]\n} '
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            AFFINE,
            {"instances": 1},
            400,
            "JSON Value: {\n    \"instances\": 1\n} Excepting 'instances' to be an list/array",
        ),
        (AFFINE, {"instances": []}, 400, "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            AFFINE,
            {"instances": [1, "x"]},
            400,
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "x" Type: String is not of expected type: float',
        ),
        (
            AFFINE,
            {"instances": [[1], [1, 2]]},
            400,
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [1] but got: [2]",
        ),
        (AFFINE, {"instances": [1, {"x": 1}]}, 400, "Expecting value/list but got object at item 1 of input list"),
        (AFFINE, {"instances": [{"x": 1}, 1]}, 400, "Expecting object but got list at item 1 of input list"),
        (
            AFFINE,
            {"instances": [{"x": 1, "z": 1}]},
            400,
            "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: z",
        ),
        (
            FEATURES,
            {"instances": [{"item": "a"}]},
            400,
            'Failed to process element: 0 of \'instances\' list. JSON object: {\n    "item": "a"\n} '
            "keys must be equal to: age,history,item,weight",
        ),
        (
            FEATURES,
            {"instances": ["a"]},
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map",
        ),
        (
            FEATURES,
            {"inputs": ["a"]},
            400,
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map",
        ),
        (FEATURES, {"inputs": {"item": ["a"]}}, 400, "Missing named input: age in 'inputs' object."),
        (AFFINE, {"inputs": "x"}, 400, 'JSON Value: "x" Type: String is not of expected type: float'),
        (AFFINE, {"inputs": [True]}, 400, "JSON Value: true Type: True is not of expected type: float"),
        (AFFINE, {"inputs": [None]}, 400, "JSON Value: null Type: Null is not of expected type: float"),
        (
            KINDS,
            {"signature_name": "int32", "inputs": [1.0]},
            400,
            "JSON Value: 1.0 Type: Number is not of expected type: int32",
        ),
        (
            KINDS,
            {"signature_name": "int8", "inputs": [1, 300]},
            400,
            "JSON Value: 300 Type: Number is not of expected type: int8",
        ),
        (
            KINDS,
            {"signature_name": "string", "inputs": [1]},
            400,
            "JSON Value: 1 Type: Number is not of expected type: string",
        ),
        (KINDS, {"signature_name": "string", "inputs": {"b64": "!"}}, 400, "Unable to base64 decode"),
        (
            KINDS,
            {"signature_name": "string", "inputs": [{"b64": 1}]},
            400,
            'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64 data',
        ),
        (
            KINDS,
            {"signature_name": "int64", "inputs": [[1, 2], [3]]},
            400,
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        (
            KINDS,
            {"signature_name": "int64", "inputs": [[1], 2]},
            400,
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        (
            KINDS,
            {"signature_name": "int64", "inputs": [1, [2]]},
            400,
            "Encountered list at unexpected level: 1 expected < 1",
        ),
    ],
)
def test_bodies(server: EmbeddedServer, path: str, body: Any, status: int, message: str) -> None:
    reply = httpx.post(server.rest_url + path, content=body if isinstance(body, str) else json.dumps(body))
    assert (reply.status_code, reply.json()) == (status, {"error": message})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 500_000, "JSON Parse error: Invalid value. at offset: 500000"),
        ('{"instances": ' + "[" * 500_000, "JSON Parse error: Invalid value. at offset: 500014"),
        ('{"a":' * 100_000, "JSON Parse error: Invalid value. at offset: 500000"),
        (
            '{"inputs": ' + "[" * 500_000 + "1" + "]" * 500_000 + "}",
            "lists are nested deeper than 64 levels; a tensor cannot have so many dimensions",
        ),
        ('{"unused": ' + "[" * 100_000 + "]" * 100_000 + "}", "Missing 'inputs' or 'instances' key"),
    ],
    ids=["lists", "instances", "objects", "complete", "unused"],
)
def test_deep_nesting_is_refused(server: EmbeddedServer, text: str, message: str) -> None:
    reply = httpx.post(server.rest_url + AFFINE, content=text, timeout=60)
    assert (reply.status_code, reply.json()) == (400, {"error": message})


def test_nesting_beyond_any_tensor_is_refused(server: EmbeddedServer) -> None:
    nested = "[" * 500 + "1" + "]" * 500
    reply = httpx.post(server.rest_url + AFFINE, content=f'{{"inputs": {nested}}}')
    assert reply.json() == {"error": "lists are nested deeper than 64 levels; a tensor cannot have so many dimensions"}
    reply = httpx.post(server.rest_url + AFFINE, content=f'{{"signature_name": {nested}}}')
    assert reply.status_code == 400


def test_bad_json_names_its_place(server: EmbeddedServer) -> None:
    reply = httpx.post(server.rest_url + AFFINE, content='{"instances": [1,}')
    assert (reply.status_code, reply.json()) == (400, {"error": "JSON Parse error: Invalid value. at offset: 17"})


def test_a_lone_surrogate_is_refused(server: EmbeddedServer) -> None:
    reply = httpx.post(server.rest_url + KINDS, content='{"signature_name": "string", "inputs": "\\ud800"}')
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("JSON Parse error: The surrogate pair in string is invalid")


def test_what_the_graph_refuses_is_an_invalid_argument(server: EmbeddedServer) -> None:
    inputs = {"values": [1, 2, 3], "row_lengths": [1, 7]}
    reply = httpx.post(server.rest_url + "/v1/models/ragged:predict", content=json.dumps({"inputs": inputs}))
    assert reply.status_code == 400
    assert "do not form a valid RaggedTensor" in reply.json()["error"]
