"""Arrays to protos and back, beside TensorFlow's own conversion."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from serving.model_server import wire
from serving.model_server.tensor_proto import array_from_proto, fill_content, fill_typed

ARRAYS = [
    np.array([True, False]),
    np.array([[-128, 127]], np.int8),
    np.array([-(2**15), 2**15 - 1], np.int16),
    np.array([-(2**31)], np.int32),
    np.array([-(2**63), 2**63 - 1]),
    np.array([0, 255], np.uint8),
    np.array([65535], np.uint16),
    np.array([2**32 - 1], np.uint32),
    np.array([2**64 - 1], np.uint64),
    np.array([0.5, -2], np.float16),
    np.array([0.5, -2], ml_dtypes.bfloat16),
    np.array([[0.1, np.nan], [np.inf, -0.0]], np.float32),
    np.array(1e300),
    np.array([1 + 2j], np.complex64),
    np.array([[1 - 2j]], np.complex128),
    np.array([[b"a", b""], [b"\xff", b"long" * 100]], object),
    np.zeros((0, 3), np.float32),
    np.arange(200, dtype=np.float64),  # its packed length takes two bytes
]
IDS = [f"{array.dtype}{array.shape}" for array in ARRAYS]


@pytest.fixture(scope="module")
def tf(saved_models: Any) -> Any:
    import tensorflow

    return tensorflow


@pytest.mark.parametrize("array", ARRAYS, ids=IDS)
@pytest.mark.parametrize("fill", [fill_typed, fill_content])
def test_what_is_written_is_read_by_us_and_by_tensorflow(tf: Any, fill: Any, array: np.ndarray) -> None:
    proto = wire.TensorProto()
    fill(proto, array)
    ours = array_from_proto(proto)
    assert (ours.dtype, ours.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(ours, array)
    theirs = tf.make_ndarray(tf.make_tensor_proto(0).__class__.FromString(proto.SerializeToString()))
    assert theirs.dtype == array.dtype
    np.testing.assert_array_equal(theirs, array)


@pytest.mark.parametrize("array", ARRAYS, ids=IDS)
def test_what_tensorflow_writes_is_read(tf: Any, array: np.ndarray) -> None:
    proto = tf.make_tensor_proto(array)
    np.testing.assert_array_equal(array_from_proto(proto), array)


@pytest.mark.parametrize("array", ARRAYS, ids=IDS)
def test_the_typed_form_has_no_content(array: np.ndarray) -> None:
    proto = wire.TensorProto()
    fill_typed(proto, array)
    assert proto.tensor_content == b""


def proto_of(type_number: int, sizes: list[int], **fields: Any) -> Any:
    proto = wire.TensorProto(dtype=type_number, **fields)
    for size in sizes:
        proto.tensor_shape.dim.add().size = size
    return proto


@pytest.mark.parametrize(
    ("proto", "values"),
    [
        (proto_of(1, [3], float_val=[1, 2]), [1.0, 2.0, 2.0]),
        (proto_of(9, [2, 2]), [[0, 0], [0, 0]]),
        (proto_of(7, [2]), [b"", b""]),
        (proto_of(7, [2], string_val=[b"x"]), [b"x", b"x"]),
        (proto_of(3, [1], int_val=[4, 5]), [4]),
        # Lengths 1, 0 and 130 (two bytes: 0x82 0x01), then the strings.
        (proto_of(7, [3], tensor_content=b"\x01\x00\x82\x01" + b"a" + b"z" * 130), [b"a", b"", b"z" * 130]),
    ],
)
def test_values_are_fitted_to_the_shape(proto: Any, values: Any) -> None:
    assert array_from_proto(proto).tolist() == values


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (proto_of(20, []), "element type 20 of the DataType enum cannot be read"),
        (proto_of(1, [-1]), r"the shape \[-1\] has a negative dimension"),
        (proto_of(1, [2], tensor_content=b"123"), "tensor_content has 3 bytes; 2 elements of float take 8"),
        (proto_of(7, [2], tensor_content=b"\x01"), "tensor_content ends within the lengths of its 2 strings"),
        (
            proto_of(7, [1], tensor_content=b"\x05ab"),
            "tensor_content has 3 bytes; its 1 strings take 6, lengths included",
        ),
    ],
)
def test_protos_that_do_not_fit_together(proto: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        array_from_proto(proto)


def test_an_unknown_rank() -> None:
    proto = wire.TensorProto(dtype=1)
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(ValueError, match="unknown rank"):
        array_from_proto(proto)


def test_text_is_encoded() -> None:
    proto = wire.TensorProto()
    fill_content(proto, np.array(["é", "x"]))
    assert list(proto.string_val) == ["é".encode(), b"x"]
    mixed = wire.TensorProto()
    fill_typed(mixed, np.array(["é", b"x"], object))
    assert list(mixed.string_val) == ["é".encode(), b"x"]
