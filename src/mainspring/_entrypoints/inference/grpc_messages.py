"""The messages of the gRPC Open Inference Protocol, made from the specification's own lines.

Classes are built from this table when they are first needed. Generated modules would tie us to the
protobuf of the day they were generated (its runtime refuses older and newer majors), and register
themselves in the one pool of the process, where a client's own copies of the same messages clash.

Source: ``open_inference_grpc.proto`` of the Open Inference Protocol (package ``inference``), and,
for configuration, statistics, repository and streams, ``grpc_service.proto`` and
``model_config.proto`` of Triton, whose field numbers they keep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

PACKAGE: Final = "inference"
SERVICE: Final = "inference.GRPCInferenceService"
_NAME_VERSION: Final = "string name = 1; string version = 2"
_LOAD: Final = (
    "string repository_name = 1; string model_name = 2; map ModelRepositoryParameter parameters = 3"
)
_CHOICE: Final = (
    "oneof bool bool_param = 1; oneof int64 int64_param = 2; oneof string string_param = 3"
)
_MESSAGES: Final[Mapping[str, str]] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ModelReadyRequest": _NAME_VERSION,
    "ModelReadyResponse": "bool ready = 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name = 1; string version = 2; repeated string extensions = 3",
    "ModelMetadataRequest": _NAME_VERSION,
    "TensorMetadata": "string name = 1; string datatype = 2; repeated int64 shape = 3",
    "ModelMetadataResponse": (
        "string name = 1; repeated string versions = 2; string platform = 3; "
        "repeated TensorMetadata inputs = 4; repeated TensorMetadata outputs = 5"
    ),
    "InferParameter": f"{_CHOICE}; oneof double double_param = 4; oneof uint64 uint64_param = 5",
    "InferTensorContents": (
        "repeated bool bool_contents = 1; repeated int32 int_contents = 2; "
        "repeated int64 int64_contents = 3; repeated uint32 uint_contents = 4; "
        "repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6; "
        "repeated double fp64_contents = 7; repeated bytes bytes_contents = 8"
    ),
    "InferTensor": (
        "string name = 1; string datatype = 2; repeated int64 shape = 3; "
        "map InferParameter parameters = 4; InferTensorContents contents = 5"
    ),
    "InferRequestedOutputTensor": "string name = 1; map InferParameter parameters = 2",
    "ModelInferRequest": (
        "string model_name = 1; string model_version = 2; string id = 3; "
        "map InferParameter parameters = 4; repeated InferTensor inputs = 5; "
        "repeated InferRequestedOutputTensor outputs = 6; repeated bytes raw_input_contents = 7"
    ),
    "ModelInferResponse": (
        "string model_name = 1; string model_version = 2; string id = 3; "
        "map InferParameter parameters = 4; repeated InferTensor outputs = 5; "
        "repeated bytes raw_output_contents = 6"
    ),
    "ModelStreamInferResponse": "string error_message = 1; ModelInferResponse infer_response = 2",
    "ModelConfigRequest": _NAME_VERSION,
    "ModelInput": "string name = 1; DataType data_type = 2; repeated int64 dims = 4",
    "ModelOutput": "string name = 1; DataType data_type = 2; repeated int64 dims = 3",
    "ModelConfig": (
        "string name = 1; string platform = 2; string backend = 17; int32 max_batch_size = 4; "
        "repeated ModelInput input = 5; repeated ModelOutput output = 6"
    ),
    "ModelConfigResponse": "ModelConfig config = 1",
    "ModelStatisticsRequest": _NAME_VERSION,
    "StatisticDuration": "uint64 count = 1; uint64 ns = 2",
    "InferStatistics": (
        "StatisticDuration success = 1; StatisticDuration fail = 2; StatisticDuration queue = 3; "
        "StatisticDuration compute_input = 4; StatisticDuration compute_infer = 5; "
        "StatisticDuration compute_output = 6"
    ),
    "ModelStatistics": (
        "string name = 1; string version = 2; uint64 last_inference = 3; "
        "uint64 inference_count = 4; uint64 execution_count = 5; "
        "InferStatistics inference_stats = 6"
    ),
    "ModelStatisticsResponse": "repeated ModelStatistics model_stats = 1",
    "ModelRepositoryParameter": f"{_CHOICE}; oneof bytes bytes_param = 4",
    "RepositoryIndexRequest": "string repository_name = 1; bool ready = 2",
    "ModelIndex": "string name = 1; string version = 2; string state = 3; string reason = 4",
    "RepositoryIndexResponse": "repeated ModelIndex models = 1",
    "RepositoryModelLoadRequest": _LOAD,
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": _LOAD,
    "RepositoryModelUnloadResponse": "",
}  # fmt: skip
_DATA_TYPES: Final = (
    "INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "FP32", "FP64", "STRING", "BF16",
)  # fmt: skip
_FIELD: Final = re.compile(r"(?:(repeated|map|oneof) )?(\w+) (\w+) = (\d+)")
_SCALARS: Final = frozenset(
    {"bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes"}
)


@cache
def message(name: str) -> Any:
    """The class of a message. Errors: ``ImportError`` without protobuf."""
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool

    file = FileDescriptorProto(name="mainspring/inference.proto", package=PACKAGE, syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(_DATA_TYPES):
        kinds.value.add(name=f"TYPE_{name}", number=number)
    for name, fields in _MESSAGES.items():
        _describe(file.message_type.add(name=name), fields)
    pool = DescriptorPool()
    pool.Add(file)
    return pool


def _describe(described: Any, fields: str) -> None:
    for how, kind, name, number in _FIELD.findall(fields):
        field = described.field.add(name=name, number=int(number), label="LABEL_OPTIONAL")
        if how == "map":
            _entry(described, field, kind)
            continue
        _type(field, kind)
        if how == "repeated":
            field.label = field.LABEL_REPEATED
        elif how == "oneof":
            if not described.oneof_decl:
                described.oneof_decl.add(name="parameter_choice")
            field.oneof_index = 0


def _type(field: Any, kind: str) -> None:
    if kind in _SCALARS:
        field.type = field.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type = field.TYPE_ENUM if kind == "DataType" else field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"


def _entry(described: Any, field: Any, kind: str) -> None:
    """A map is a repeated message of keys and values, with a mark (proto3, "Backwards compatibility")."""
    nested = described.nested_type.add(name="ParametersEntry")
    nested.options.map_entry = True
    for number, (name, of) in enumerate((("key", "string"), ("value", kind)), 1):
        _type(nested.field.add(name=name, number=number, label="LABEL_OPTIONAL"), of)
    field.label, field.type = field.LABEL_REPEATED, field.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{described.name}.ParametersEntry"
