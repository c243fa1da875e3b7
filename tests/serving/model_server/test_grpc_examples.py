"""Classify, Regress and MultiInference of a real server process, asked with TensorFlow Serving's own stubs."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from serving.model_server.process import EmbeddedServer

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def apis(saved_models: Any) -> Any:
    """The generated modules, imported only after the fixture that imports TensorFlow."""
    from tensorflow_serving import apis
    from tensorflow_serving.apis import (  # noqa: F401
        classification_pb2,
        inference_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )

    return apis


@pytest.fixture(scope="module")
def stub(apis: Any, server: EmbeddedServer) -> Iterator[Any]:
    with grpc.insecure_channel(server.grpc_target) as channel:
        yield apis.prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def request_of(apis: Any) -> Callable[..., Any]:
    """A Classify or Regress request for model ``judge`` with an Example for each of ``xs``."""

    def make(kind: str, xs: list[float], signature: str = "", model: str = "judge") -> Any:
        make_request = {
            "classify": apis.classification_pb2.ClassificationRequest,
            "regress": apis.regression_pb2.RegressionRequest,
        }[kind]
        request = make_request()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        fill(request.input, xs)
        return request

    return make


def fill(model_input: Any, xs: list[float]) -> None:
    for x in xs:
        model_input.example_list.examples.add().features.feature["x"].float_list.value.append(x)


def refusal(call: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=60)
    return caught.value.code().name, caught.value.details()


def classes(classifications: Any) -> list[tuple[str, float]]:
    return [(entry.label, entry.score) for entry in classifications.classes]


def test_classify(stub: Any, request_of: Any) -> None:
    response = stub.Classify(request_of("classify", [2.0, -3.5]))
    # The scores are -x for low and x for high.
    assert [classes(row) for row in response.result.classifications] == [
        [("low", -2.0), ("high", 2.0)],
        [("low", 3.5), ("high", -3.5)],
    ]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("judge", 7, "serving_default")


def test_a_classifier_may_give_scores_or_labels_alone(stub: Any, request_of: Any) -> None:
    [row] = stub.Classify(request_of("classify", [2.0], "scores")).result.classifications
    assert classes(row) == [("", -2.0), ("", 2.0)]
    [row] = stub.Classify(request_of("classify", [2.0], "classes")).result.classifications
    assert classes(row) == [("low", 0.0), ("high", 0.0)]


@pytest.mark.parametrize("signature", ["regress", "regress_column"])
def test_regress(stub: Any, request_of: Any, signature: str) -> None:
    response = stub.Regress(request_of("regress", [1.0, -2.0], signature))
    assert [regression.value for regression in response.result.regressions] == [3.0, 0.0]
    assert response.model_spec.signature_name == signature


def test_a_context_lends_its_features_to_examples_without_them(stub: Any, request_of: Any) -> None:
    request = request_of("regress", [], "regress")
    listed = request.input.example_list_with_context
    listed.context.features.feature["x"].float_list.value.append(10.0)
    listed.examples.add()
    listed.examples.add().features.feature["x"].float_list.value.append(1.0)
    assert [regression.value for regression in stub.Regress(request).result.regressions] == [12.0, 3.0]


@pytest.mark.parametrize(
    ("kind", "signature", "code", "details"),
    [
        ("classify", "s", "INVALID_ARGUMENT", "No signature was found with the name: s"),
        ("regress", "s", "INVALID_ARGUMENT", "No signature was found with the name: s"),
        ("classify", "three_outputs", "INVALID_ARGUMENT", "Expected one or two output Tensors, found 3"),
        ("regress", "", "INVALID_ARGUMENT", "Expected one output Tensor."),
        ("classify", "flat_scores", "INVALID_ARGUMENT", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ("classify", "int_scores", "INVALID_ARGUMENT", "Expected scores Tensor of DT_FLOAT. Got: DT_INT64"),
        ("classify", "first_scores", "INVALID_ARGUMENT", "Expected scores output batch size of 2. Got: 1"),
        (
            "classify",
            "narrow_scores",
            "INVALID_ARGUMENT",
            "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
        ),
        (
            "regress",
            "wide_outputs",
            "INVALID_ARGUMENT",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        ),
        ("regress", "int_outputs", "INVALID_ARGUMENT", "Expected output Tensor of DT_FLOAT.  Got: DT_INT64"),
        ("regress", "first_outputs", "INVALID_ARGUMENT", "Input batch size did not match output batch size: 2 vs. 1"),
    ],
)
def test_refused_signatures(stub: Any, request_of: Any, kind: str, signature: str, code: str, details: str) -> None:
    call = stub.Classify if kind == "classify" else stub.Regress
    assert refusal(call, request_of(kind, [1.0, 2.0], signature)) == (code, details)


@pytest.mark.parametrize(
    ("kind", "signature", "beginning"),
    [
        (
            "classify",
            "other_output",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: ',
        ),
        ("classify", "other_input", "No classification inputs found in SignatureDef: "),
        ("regress", "other_output", "No regression outputs found in SignatureDef: "),
        ("regress", "other_input", "No regression inputs found in SignatureDef: "),
    ],
)
def test_signatures_with_other_names(stub: Any, request_of: Any, kind: str, signature: str, beginning: str) -> None:
    call = stub.Classify if kind == "classify" else stub.Regress
    code, details = refusal(call, request_of(kind, [1.0], signature))
    assert code == "FAILED_PRECONDITION"
    assert details.startswith(beginning)
    assert "dtype: DT_STRING" in details


@pytest.mark.parametrize("kind", ["classify", "regress"])
def test_refused_requests(apis: Any, stub: Any, request_of: Any, kind: str) -> None:
    call = stub.Classify if kind == "classify" else stub.Regress
    assert refusal(call, request_of(kind, [], "regress" if kind == "regress" else "")) == (
        "INVALID_ARGUMENT",
        "Input is empty.",
    )
    assert refusal(call, request_of(kind, [1.0], model="absent")) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(absent)",
    )
    assert refusal(call, request_of(kind, [1.0], model="")) == ("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    request = request_of(kind, [1.0])
    request.ClearField("model_spec")
    assert refusal(call, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")


@pytest.fixture
def tasks_of(apis: Any) -> Callable[..., Any]:
    """A MultiInference request for tasks of (signature, method) or (signature, method, model), on the Examples 1 and 2."""

    def make(*tasks: tuple[str, ...]) -> Any:
        request = apis.inference_pb2.MultiInferenceRequest()
        for signature, method, *model in tasks:
            task = request.tasks.add(method_name=method)
            task.model_spec.name = model[0] if model else "judge"
            task.model_spec.signature_name = signature
        fill(request.input, [1.0, 2.0])
        return request

    return make


def test_multi_inference(stub: Any, tasks_of: Any) -> None:
    response = stub.MultiInference(tasks_of(("regress_x_to_y", REGRESS, "half"), ("classify_x_to_y", CLASSIFY, "half")))
    regressed, classified = response.results
    # x / 2 + 2 for the Examples 1 and 2.
    assert [regression.value for regression in regressed.regression_result.regressions] == [2.5, 3.0]
    assert [classes(row) for row in classified.classification_result.classifications] == [[("", 2.5)], [("", 3.0)]]
    assert [result.model_spec.signature_name for result in response.results] == ["regress_x_to_y", "classify_x_to_y"]
    assert (classified.model_spec.name, classified.model_spec.version.value) == ("half", 7)


def test_multi_inference_of_the_default_signature(stub: Any, tasks_of: Any) -> None:
    [result] = stub.MultiInference(tasks_of(("", CLASSIFY))).results
    assert [classes(row) for row in result.classification_result.classifications] == [
        [("low", -1.0), ("high", 1.0)],
        [("low", -2.0), ("high", 2.0)],
    ]
    assert result.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize(
    ("tasks", "code", "details"),
    [
        ([], "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ([("regress", REGRESS, "absent")], "NOT_FOUND", "Servable not found for request: Latest(absent)"),
        (
            [("regress", REGRESS), ("regress", REGRESS, "affine")],
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [("regress", REGRESS), ("regress", REGRESS, "")],
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
        ),
        (
            [("regress", REGRESS), ("regress", CLASSIFY)],
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: regress",
        ),
        ([("s", REGRESS)], "INVALID_ARGUMENT", "Requested signature not found in model graph: s"),
        (
            [("regress", "tensorflow/serving/predict")],
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            [("regress", REGRESS), ("", CLASSIFY)],
            "INVALID_ARGUMENT",
            "Input tensor must be the same for all Signatures.",
        ),
    ],
)
def test_refused_tasks(stub: Any, tasks_of: Any, tasks: Any, code: str, details: str) -> None:
    assert refusal(stub.MultiInference, tasks_of(*tasks)) == (code, details)
