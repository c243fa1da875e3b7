"""Message classes made from tables of fields, for protos that no installed package has, or has without TensorFlow.

Protobuf needs field numbers and types only. The classes live in a descriptor pool of their own, beside whatever else
declares messages of the same names.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

PACKAGE = "tensorflow.serving"
_WRAPPERS = ".google.protobuf."

# message -> field -> (number, type). A leading "*" marks a repeated field, a leading "." another message.
MessageTable = Mapping[str, Mapping[str, tuple[int, str]]]


def message_classes(file_name: str, messages: MessageTable) -> dict[str, Any]:
    """The classes of ``messages``, by name."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_file_descriptor(file_name, messages).SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in messages}


def _file_descriptor(file_name: str, messages: MessageTable) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=file_name, package=PACKAGE, syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    kind = descriptor_pb2.FieldDescriptorProto
    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for field_name, (number, type_name) in fields.items():
            field = message.field.add(name=field_name, number=number)
            field.label = kind.LABEL_REPEATED if type_name.startswith("*") else kind.LABEL_OPTIONAL
            bare = type_name.removeprefix("*")
            if bare.startswith("."):
                field.type = kind.TYPE_MESSAGE
                field.type_name = bare if bare.startswith(_WRAPPERS) else f".{PACKAGE}{bare}"
            else:
                field.type = kind.Type.Value(f"TYPE_{bare.upper()}")
    return file
