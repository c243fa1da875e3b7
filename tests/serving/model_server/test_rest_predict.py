"""REST predictions of a real server process, in every form that TensorFlow Serving takes."""

import base64
import gzip
import json
import math
from typing import Any

import httpx
import pytest

from serving.model_server.process import EmbeddedServer

Post = Any


@pytest.fixture(scope="module")
def post(server: EmbeddedServer) -> Any:
    """Posts a body (JSON text, or a value to write as JSON) and gives the reply."""

    def send(path: str, body: Any, **options: Any) -> httpx.Response:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return httpx.post(server.rest_url + path, content=text, timeout=60, **options)

    return send


def test_rows_of_a_single_input_give_a_list(post: Post) -> None:
    reply = post("/v1/models/affine:predict", {"instances": [1, 2.5]})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == {"predictions": [3.0, 6.0]}  # version 2: 2x + 1


def test_rows_may_name_the_single_input(post: Post) -> None:
    assert post("/v1/models/affine:predict", {"instances": [{"x": 1}, {"x": 2}]}).json() == {"predictions": [3.0, 5.0]}


def test_columns_of_a_single_input_give_a_bare_value(post: Post) -> None:
    assert post("/v1/models/affine:predict", {"inputs": [1, 2]}).json() == {"outputs": [3.0, 5.0]}
    assert post("/v1/models/affine:predict", {"inputs": {"x": [1, 2]}}).json() == {"outputs": [3.0, 5.0]}


def test_several_outputs_give_objects(post: Post) -> None:
    body = {"signature_name": "twice", "instances": [1, 2]}
    assert post("/v1/models/affine:predict", body).json() == {"predictions": [{"a": 1.0, "b": -1.0}, {"a": 2.0, "b": -2.0}]}
    body = {"signature_name": "twice", "inputs": [1, 2]}
    assert post("/v1/models/affine:predict", body).json() == {"outputs": {"a": [1.0, 2.0], "b": [-1.0, -2.0]}}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/models/affine/versions/1:predict", 2.0),
        ("/v1/models/affine/versions/2:predict", 3.0),
        ("/v1/models/affine/labels/canary:predict", 2.0),
        ("/V1/MODELS/affine/VERSIONS/1:PREDICT", 2.0),
        ("/v1/models/%61ffine:predict", 3.0),
    ],
)
def test_a_version_is_chosen_by_number_or_label(post: Post, path: str, answer: float) -> None:
    assert post(path, {"instances": [1]}).json() == {"predictions": [answer]}


def test_several_inputs_by_rows(post: Post) -> None:
    rows = [
        {"item": "a", "history": ["a", "c"], "age": 10, "weight": 2},
        {"item": "?", "history": ["c", "c"], "age": 20, "weight": 0.5},
    ]
    # Mean indices (0 + 2) / 2 = 1 and 2; scores 1 * 2 + 10 and 2 * 0.5 + 20.
    assert post("/v1/models/features:predict", {"instances": rows}).json() == {
        "predictions": [
            {"index": 0, "score": 12.0, "item_bytes": {"b64": "YQ=="}, "label": "item a"},
            {"index": 3, "score": 21.0, "item_bytes": {"b64": "Pw=="}, "label": "item ?"},
        ]
    }


def test_several_inputs_by_columns_and_extra_ones_are_passed_over(post: Post) -> None:
    inputs = {"item": ["b"], "history": [["b", "b", "b"]], "age": [1], "weight": [3.0], "unused": "x"}
    assert post("/v1/models/features:predict", {"inputs": inputs, "unused": 1}).json() == {
        "outputs": {"index": [1], "score": [4.0], "item_bytes": [{"b64": "Yg=="}], "label": ["item b"]}
    }


def test_a_scalar_output_fits_columns_only(post: Post) -> None:
    assert post("/v1/models/scalar:predict", {"inputs": [1, 2, 3]}).json() == {"outputs": 6.0}
    reply = post("/v1/models/scalar:predict", {"instances": [1, 2, 3]})
    assert (reply.status_code, reply.json()) == (400, {"error": "Tensor name: total has no shape information "})


def test_outputs_of_different_batch_sizes_fit_columns_only(post: Post) -> None:
    body = {"values": [1, 2, 3], "row_lengths": [1, 2]}
    assert post("/v1/models/ragged:predict", {"inputs": body}).json() == {
        "outputs": {"doubled": [2.0, 4.0, 6.0], "sums": [1.0, 5.0]}
    }


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bool", [True, False]),
        ("int8", [-128, 127]),
        ("int16", [-32768, 32767]),
        ("int32", [-(2**31), 2**31 - 1]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("uint8", [0, 255]),
        ("uint16", [0, 65535]),
        ("uint32", [0, 2**32 - 1]),
        ("uint64", [0, 2**64 - 1]),
        ("float32", [0.1, -1.5, 16777216.0, 1e-7]),
        ("float64", [0.1, 1e300, 5e-324]),
        ("string", ["", "plain", "Ünïcode ✓"]),
    ],
)
def test_each_type_comes_back_as_it_went(post: Post, kind: str, values: list[Any]) -> None:
    body = {"signature_name": kind, "inputs": values}
    assert post("/v1/models/kinds:predict", body).json() == {"outputs": values}


def test_shapes_of_any_rank(post: Post) -> None:
    for value in (5, [], [[1, 2], [3, 4]], [[[7]]], [[], []]):
        assert post("/v1/models/kinds:predict", {"signature_name": "int64", "inputs": value}).json() == {"outputs": value}


def test_whole_floats_keep_their_point(post: Post) -> None:
    assert "[1.0, -0.0, 0.1]" in post("/v1/models/kinds:predict", {"signature_name": "float32", "inputs": [1, -0.0, 0.1]}).text


def test_single_precision_numbers_get_six_digits_or_nine(post: Post) -> None:
    # Of two thirds, 0.666667 reads back as another number of single precision; 0.25 and 1.5e-07 read back as themselves.
    body = {"signature_name": "float32", "inputs": [2 / 3, 0.25, 1.5e-7]}
    assert "[0.666666687, 0.25, 1.5e-07]" in post("/v1/models/kinds:predict", body).text


def test_not_a_number_and_infinities_go_both_ways(post: Post) -> None:
    reply = post("/v1/models/kinds:predict", '{"signature_name": "float32", "inputs": [NaN, Infinity, -Infinity, 1e39]}')
    assert "[NaN, Infinity, -Infinity, Infinity]" in reply.text  # 1e39 is beyond float32
    nan, *infinities = reply.json()["outputs"]
    assert math.isnan(nan)
    assert infinities == [math.inf, -math.inf, math.inf]


def test_types_that_json_has_no_form_of(post: Post) -> None:
    body = {"signature_name": "half", "inputs": [0.1]}
    reply = post("/v1/models/kinds:predict", body)
    assert (reply.status_code, reply.json()) == (501, {"error": "Conversion of JSON Value: 0.1 to type: half"})


def test_base64_brings_any_bytes(post: Post) -> None:
    raw = bytes(range(256))
    encoded = {"b64": base64.b64encode(raw).decode()}
    reply = post("/v1/models/kinds:predict", {"signature_name": "string", "inputs": encoded})
    # The output's name does not end in _bytes, so the string goes out raw: as JSON text of bytes that are not UTF-8.
    assert raw[128:] in reply.content
    rows = [{"item": encoded, "history": ["a"], "age": 0, "weight": 0}]
    [row] = json.loads(post("/v1/models/features:predict", {"instances": rows}).content.decode("utf-8", "replace"))[
        "predictions"
    ]
    assert row["item_bytes"] == encoded
    unpadded = {"b64": "YQ"}
    assert post("/v1/models/kinds:predict", {"signature_name": "string", "instances": [unpadded]}).json() == {
        "predictions": ["a"]
    }


def test_any_content_type_will_do(post: Post) -> None:
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded", ""):
        reply = post("/v1/models/affine:predict", {"instances": [1]}, headers={"content-type": content_type})
        assert reply.status_code == 200


def test_what_follows_the_first_document_is_not_read(post: Post) -> None:
    assert post("/v1/models/affine:predict", ' {"instances": [1]} and more').json() == {"predictions": [3.0]}


def test_gzip_bodies(post: Post) -> None:
    body = gzip.compress(json.dumps({"instances": [1]}).encode())
    headers = {"content-encoding": "gzip"}
    assert post("/v1/models/affine:predict", body, headers=headers).json() == {"predictions": [3.0]}
    broken = post("/v1/models/affine:predict", b"not gzip", headers=headers)
    assert broken.status_code == 400
    assert broken.json()["error"].startswith("the body is declared as gzip and cannot be decompressed")
    cut = post("/v1/models/affine:predict", body[:-9], headers=headers)
    assert cut.json() == {"error": "the body is declared as gzip and ends too early"}


def test_status(server: EmbeddedServer) -> None:
    reply = httpx.get(server.rest_url + "/v1/models/affine/versions/1")
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert (reply.status_code, reply.json()) == (200, {"model_version_status": [{"version": "1", **available}]})
    both = {"model_version_status": [{"version": "2", **available}, {"version": "1", **available}]}
    assert httpx.get(server.rest_url + "/v1/models/affine").json() == both
    assert httpx.get(server.rest_url + "/v1/models/affine/labels/canary").json() == both


def test_metadata(server: EmbeddedServer) -> None:
    document = httpx.get(server.rest_url + "/v1/models/affine/metadata").json()
    assert document["model_spec"] == {"name": "affine", "signature_name": "", "version": "2"}
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["inputs"]["x"]["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert list(signature["outputs"]) == ["y"]
