"""numpy arrays to and from TensorProto, without TensorFlow: the server and the client share it.

Any message class with TensorProto's fields will do: TensorFlow's own, or the client's (``wire.py``).
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class TensorType:
    """One element type: its number in the DataType enum, its name in TensorFlow's messages, its field in a proto."""

    number: int
    name: str
    dtype: np.dtype[Any]
    typed_field: str

    @property
    def is_string(self) -> bool:
        return self.name == "string"


_TYPES = (
    TensorType(1, "float", np.dtype(np.float32), "float_val"),
    TensorType(2, "double", np.dtype(np.float64), "double_val"),
    TensorType(3, "int32", np.dtype(np.int32), "int_val"),
    TensorType(4, "uint8", np.dtype(np.uint8), "int_val"),
    TensorType(5, "int16", np.dtype(np.int16), "int_val"),
    TensorType(6, "int8", np.dtype(np.int8), "int_val"),
    TensorType(7, "string", np.dtype(object), "string_val"),
    TensorType(8, "complex64", np.dtype(np.complex64), "scomplex_val"),
    TensorType(9, "int64", np.dtype(np.int64), "int64_val"),
    TensorType(10, "bool", np.dtype(np.bool_), "bool_val"),
    TensorType(14, "bfloat16", np.dtype(ml_dtypes.bfloat16), "half_val"),
    TensorType(17, "uint16", np.dtype(np.uint16), "int_val"),
    TensorType(18, "complex128", np.dtype(np.complex128), "dcomplex_val"),
    TensorType(19, "half", np.dtype(np.float16), "half_val"),
    TensorType(22, "uint32", np.dtype(np.uint32), "uint32_val"),
    TensorType(23, "uint64", np.dtype(np.uint64), "uint64_val"),
)
_TYPE_BY_NUMBER = {tensor_type.number: tensor_type for tensor_type in _TYPES}
_TYPE_BY_DTYPE = {tensor_type.dtype: tensor_type for tensor_type in _TYPES}
_STRING = _TYPE_BY_NUMBER[7]


def type_of_number(number: int) -> TensorType | None:
    """The type of a DataType number; None for one that has no numpy form (resources, variants, quantised types)."""
    return _TYPE_BY_NUMBER.get(number)


def type_of_array(array: np.ndarray) -> TensorType:
    """The type of an array; ValueError for a dtype that TensorFlow has not."""
    if array.dtype.kind in "SU":
        return _STRING
    tensor_type = _TYPE_BY_DTYPE.get(array.dtype)
    if tensor_type is None:
        raise ValueError(f"an array of dtype {array.dtype} has no tensor type; convert it to one of {_names()}")
    return tensor_type


def data_type_name(array: np.ndarray) -> str:
    """The DataType enum's name for the type of an array, such as ``DT_FLOAT``."""
    return f"DT_{type_of_array(array).name.upper()}"


def shape_text(array: np.ndarray) -> str:
    """The shape as TensorFlow's messages write it, such as ``[2,3]``."""
    return f"[{','.join(map(str, array.shape))}]"


def array_from_proto(proto: Any) -> np.ndarray:
    """The array in a TensorProto, from ``tensor_content`` or from the typed field. Strings become ``bytes`` objects.

    A typed field shorter than the shape is filled up with its last value and an empty one with zeros, as TensorFlow
    does. Raises ValueError where type, shape and values do not fit together.
    """
    tensor_type = type_of_number(proto.dtype)
    if tensor_type is None:
        raise ValueError(f"element type {proto.dtype} of the DataType enum cannot be read; wanted one of {_names()}")
    if proto.tensor_shape.unknown_rank:
        raise ValueError("the shape has an unknown rank; a tensor's shape must be given in full")
    shape = tuple([dim.size for dim in proto.tensor_shape.dim])
    if any(size < 0 for size in shape):
        raise ValueError(f"the shape {list(shape)} has a negative dimension; a tensor's shape must be given in full")
    count = math.prod(shape)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, tensor_type, count).reshape(shape)
    return _fit(_typed_values(proto, tensor_type), tensor_type, count).reshape(shape)


def fill_typed(proto: Any, array: np.ndarray) -> None:
    """Write ``array`` into an empty TensorProto, values in the typed field: what every reader understands."""
    tensor_type = _fill_type_and_shape(proto, array)
    field = getattr(proto, tensor_type.typed_field)
    flat = array.ravel()
    if tensor_type.is_string:
        field.extend(_bytes_list(flat))
    elif tensor_type.typed_field == "half_val":
        field.extend(flat.view(np.uint16).tolist())
    elif array.dtype.kind == "c":
        field.extend(flat.view(flat.real.dtype).tolist())
    elif tensor_type.typed_field in ("float_val", "double_val"):
        _merge_packed(proto, tensor_type.typed_field, flat)
    else:
        field.extend(flat.tolist())


def fill_content(proto: Any, array: np.ndarray) -> None:
    """Write ``array`` into an empty TensorProto as raw bytes: the quickest form. Strings go to the typed field."""
    if type_of_array(array).is_string:
        fill_typed(proto, array)
    else:
        _fill_type_and_shape(proto, array)
        proto.tensor_content = array.tobytes()


def _names() -> str:
    return ", ".join(tensor_type.name for tensor_type in _TYPES)


def _fill_type_and_shape(proto: Any, array: np.ndarray) -> TensorType:
    tensor_type = type_of_array(array)
    proto.dtype = tensor_type.number
    dims = proto.tensor_shape.dim
    for size in array.shape:
        dims.add().size = size
    return tensor_type


def _bytes_list(flat: np.ndarray) -> list[bytes]:
    if flat.dtype.kind == "U":
        return [value.encode() for value in flat.tolist()]
    values = flat.tolist()
    if flat.dtype.kind == "S" or all(type(value) is bytes for value in values):
        return values
    # Ids come by the hundred: the common case is spared a call each.
    return [value.encode() if type(value) is str else _bytes(value) for value in values]


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise ValueError(f"a string tensor holds a {type(value).__name__} ({value!r:.80}); wanted str or bytes")
    return value


def _merge_packed(proto: Any, field_name: str, flat: np.ndarray) -> None:
    """Append numbers of fixed width in one piece: a packed field is those very bytes behind a tag and a length."""
    if flat.size:
        payload = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
        tag = proto.DESCRIPTOR.fields_by_name[field_name].number << 3 | 2
        proto.MergeFromString(bytes([tag]) + _varint(len(payload)) + payload)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _typed_values(proto: Any, tensor_type: TensorType) -> np.ndarray:
    """The values of the typed field, one-dimensional."""
    field = getattr(proto, tensor_type.typed_field)
    dtype = tensor_type.dtype
    if tensor_type.is_string:
        values = np.empty(len(field), dtype=object)
        values[:] = list(field)
        return values
    if tensor_type.typed_field == "half_val":
        return np.fromiter(field, np.uint16, len(field)).view(dtype)
    if dtype.kind == "c":
        parts = np.float32 if dtype == np.complex64 else np.float64
        return np.fromiter(field, parts, len(field)).view(dtype)
    if tensor_type.typed_field == "int_val":
        # The field is 32 bits wide whatever the type; a value beyond the type wraps, as TensorFlow's own cast does.
        return np.fromiter(field, np.int32, len(field)).astype(dtype)
    return np.fromiter(field, dtype, len(field))


def _fit(values: np.ndarray, tensor_type: TensorType, count: int) -> np.ndarray:
    if len(values) == count:
        return values
    if len(values) > count:
        return values[:count]
    filled = np.full(count, b"" if tensor_type.is_string else 0, dtype=tensor_type.dtype)
    if len(values):
        filled[: len(values)] = values
        filled[len(values) :] = values[-1]
    return filled


def _from_content(content: bytes, tensor_type: TensorType, count: int) -> np.ndarray:
    if tensor_type.is_string:
        return _strings_from_content(content, count)
    wanted_bytes = count * tensor_type.dtype.itemsize
    if len(content) != wanted_bytes:
        raise ValueError(f"tensor_content has {len(content)} bytes; {count} elements of {tensor_type.name} take {wanted_bytes}")
    return np.frombuffer(content, tensor_type.dtype.newbyteorder("<")).astype(tensor_type.dtype, copy=False)


def _strings_from_content(content: bytes, count: int) -> np.ndarray:
    """Strings as TensorFlow packs them: the length of each as a varint, then all of them end to end."""
    position = 0
    lengths = []
    for _ in range(count):
        length = shift = 0
        while True:
            if position >= len(content):
                raise ValueError(f"tensor_content ends within the lengths of its {count} strings")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError(
            f"tensor_content has {len(content)} bytes; its {count} strings take {position + sum(lengths)}, lengths included"
        )
    strings = np.empty(count, dtype=object)
    strings[:] = struct.unpack_from("<" + "".join(f"{length}s" for length in lengths), content, position)
    return strings
