"""REST classifications and regressions of a real server process."""

import json
from typing import Any

import httpx
import pytest

from serving.model_server.process import EmbeddedServer

CLASSIFY = "/v1/models/judge:classify"
REGRESS = "/v1/models/judge:regress"


def post(server: EmbeddedServer, path: str, body: Any) -> httpx.Response:
    return httpx.post(server.rest_url + path, content=body if isinstance(body, str) else json.dumps(body), timeout=60)


def test_classify(server: EmbeddedServer) -> None:
    reply = post(server, CLASSIFY, {"examples": [{"x": 2.0}, {"x": 0.1}]})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == {"results": [[["low", -2.0], ["high", 2.0]], [["low", -0.1], ["high", 0.1]]]}
    assert '"high", 2.0]' in reply.text


def test_a_classifier_without_labels_has_empty_ones(server: EmbeddedServer) -> None:
    body = {"signature_name": "scores", "examples": [{"x": 1.0}]}
    assert post(server, CLASSIFY, body).json() == {"results": [[["", -1.0], ["", 1.0]]]}


@pytest.mark.parametrize("path", [REGRESS, "/v1/models/judge/versions/7:regress", "/V1/models/judge:REGRESS"])
def test_regress(server: EmbeddedServer, path: str) -> None:
    body = {"signature_name": "regress", "examples": [{"x": 1.0}, {}, {"x": [0.5], "unused": "?"}]}
    assert post(server, path, body).json() == {"results": [3.0, 2.0, 2.5]}


def test_a_context_lends_its_features(server: EmbeddedServer) -> None:
    body = {"signature_name": "regress", "context": {"x": 10.0}, "examples": [{}, {"x": 1.0}]}
    assert post(server, REGRESS, body).json() == {"results": [12.0, 3.0]}


def test_each_kind_of_feature(server: EmbeddedServer) -> None:
    examples = [
        {"names": ["Ünïcode", {"b64": "YWJj"}], "ages": [41, True]},
        {"names": "one", "ages": []},
    ]
    # The model joins names and ages to labels, "none" and 0 where an Example has fewer than the other.
    assert post(server, CLASSIFY, {"signature_name": "names", "examples": examples}).json() == {
        "results": [
            [["Ünïcode", 0.0], ["abc", 0.0], ["41", 0.0], ["1", 0.0]],
            [["one", 0.0], ["none", 0.0], ["0", 0.0], ["0", 0.0]],
        ]
    }


def test_numbers_beyond_float32_become_infinite(server: EmbeddedServer) -> None:
    reply = post(server, REGRESS, '{"signature_name": "regress", "examples": [{"x": 1e39}, {"x": -Infinity}, {"x": NaN}]}')
    assert "[Infinity, -Infinity, NaN]" in reply.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        (
            {"signature_name": 1, "examples": [{}]},
            " not formatted correctly. 'signature_name' key must be a string value.",
        ),
        ({"instances": [1]}, " When method is classify, key 'examples' is expected and was not found"),
        ({"examples": {"x": 1.0}}, " Expecting 'examples' value to be an list/array"),
        ({"examples": []}, " 'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"context": True, "examples": [{}]}, "Example must be JSON object but got JSON True"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1.0]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": {"b64": "YQ", "more": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": [1.0, 2]}]}, "Unexpected element type in feature: x expecting type: float"),
        ({"examples": [{"x": [1, 2.0]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": ["a", False]}]}, "Unexpected element type in feature: x expecting type: bytes"),
        ({"examples": [{"x": 2**63}]}, "Feature: x has uint64 element. Only int64 is supported."),
        ({"examples": [{"x": {"b64": "!"}}]}, "Unable to base64 decode"),
        ({"signature_name": "s", "examples": [{}]}, "No signature was found with the name: s"),
    ],
)
@pytest.mark.parametrize("path", [CLASSIFY, REGRESS])
def test_refused_bodies(server: EmbeddedServer, path: str, body: Any, message: str) -> None:
    reply = post(server, path, body)
    assert reply.status_code == 400
    assert reply.json()["error"].endswith(message)


def test_a_model_that_is_not_there(server: EmbeddedServer) -> None:
    reply = post(server, "/v1/models/absent:classify", {"examples": [{}]})
    assert (reply.status_code, reply.json()) == (404, {"error": "Servable not found for request: Latest(absent)"})


def test_a_label_that_is_not_text(server: EmbeddedServer) -> None:
    reply = post(server, CLASSIFY, {"signature_name": "names", "examples": [{"names": {"b64": "/w=="}}]})
    assert (reply.status_code, reply.json()) == (
        500,
        {"error": r"the label b'\xff' is not UTF-8, which is all that a Classify reply can carry"},
    )


def test_a_signature_with_other_names_is_a_bad_request(server: EmbeddedServer) -> None:
    reply = post(server, REGRESS, {"signature_name": "other_output", "examples": [{}]})
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("No regression outputs found in SignatureDef: ")
