"""The bytes of a .tflite file → what they hold, every offset checked, no interpreter needed.

An interpreter trusts its file: a damaged one can end the process instead of raising. So the flatbuffer is walked here
first (layout: flatbuffers "Internals" document; fields: TensorFlow Lite's schema.fbs), and what the walk finds also
serves `inspect`, the model card and the guess at a stranger's conventions.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ..errors import ModelError
from .flatbuffer import Flatbuffer

IDENTIFIER = b"TFL3"
CARD_NAME = "edgematte"  # name of the metadata entry that holds the card
CONTRACT = 1  # uint8 RGB in, uint8 alpha out, static shapes, batch 1

# schema.fbs, enum TensorType: name and bits per element (0: not a fixed size).
_TYPES: tuple[tuple[str, int], ...] = (
    ("float32", 32), ("float16", 16), ("int32", 32), ("uint8", 8), ("int64", 64), ("string", 0), ("bool", 8),
    ("int16", 16), ("complex64", 64), ("int8", 8), ("float64", 64), ("complex128", 128), ("uint64", 64),
    ("resource", 0), ("variant", 0),
    ("uint32", 32), ("uint16", 16), ("int4", 4), ("bfloat16", 16), ("int2", 2), ("uint4", 4),
)  # fmt: skip

_INTEGER_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int4": (-8, 7)}
CUSTOM = 32  # an operator of somebody's own, named in the file
PLACEHOLDER = 127  # the code did not fit the old one-byte field; the four-byte field holds it
# Operator code → name, as numbered by schema.fbs, enum BuiltinOperator.
# fmt: off
OPERATOR_NAMES: tuple[str, ...] = tuple(
    """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION
LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH
CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE
EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR
ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND
COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE
HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE
BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1
UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR
RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE
STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL
STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE
STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE
DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT
STABLEHLO_CASE
""".split()  # noqa: SIM905 - as a list literal of 210 strings nobody could compare it with the schema
)
# fmt: on
LARGEST_TENSOR_BYTES = 1 << 30  # the interpreters address one arena with 32 bits; no matte needs a tensor that large


@dataclass(frozen=True)
class FileTensor:
    """One tensor as the file declares it."""

    name: str
    shape: tuple[int, ...]  # -1 where the file leaves a dimension open
    dtype: str  # "float32", "int8", …
    scales: tuple[float, ...]  # one per channel, one, or none: real = (stored - zero_point) · scale
    zero_points: tuple[int, ...]
    stored_bytes: int  # constant data in the file; 0 for an activation
    stored_at: int  # byte of the file where that data begins


@dataclass(frozen=True)
class FileOperator:
    """One step of the network; indices count tensors of the same subgraph, -1 is an input left out."""

    name: str
    custom: bool  # not one of TensorFlow Lite's own
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class ModelFile:
    """A .tflite file's main subgraph and metadata."""

    description: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: Mapping[str, bytes]
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a converted model says about itself; stored as JSON in its metadata."""

    contract: int = CONTRACT
    # segmenter: a picture in, its alpha out; follower: a square's RGB, its subject's last matte and every place's
    # likeness to it in, the subject's alpha out.
    role: Literal["segmenter", "follower"] = "segmenter"
    name: str
    source_sha256: str  # of the full-precision file it was made from
    licence: str = ""
    training_data: str = ""
    preprocessing: str = ""  # in words: how pixels become the source network's input, and its output alpha
    # The same for a program, and how the source network's output is read (`convert.onnx.reading`); None: older cards
    reading: Mapping[str, Any] | None = None
    quantisation: str = ""
    float_parity: float | None = None  # largest float difference to the source network, as a share of its output range
    agreement_iou: float | None = None  # int8 mask against float mask at 0.5, mean over photos, 0…1
    agreement_mae: float | None = None  # int8 alpha against float alpha, mean absolute error, 0…1
    photos: int = 0  # how many photos the agreement was measured on
    made_by: str = ""  # "edgematte 0.1.0"

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode("utf-8")

    @classmethod
    def from_json(cls, text: bytes) -> ModelCard:
        """Raises ModelError when the text is no card, or belongs to a contract this version does not know."""
        try:
            content = json.loads(text)
            known = {field.name for field in fields(cls)}
            card = cls(**{key: value for key, value in content.items() if key in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"the model's card is damaged ({error}); convert the model again") from error
        if card.contract != CONTRACT:
            raise ModelError(
                f"the model follows contract {card.contract}, this version of edgematte knows {CONTRACT}; "
                "update with: pip install --upgrade edgematte"
            )
        return card


def operator_name(code: int) -> str:
    """The name of a built-in operator; one newer than this table is called by its number."""
    return OPERATOR_NAMES[code] if 0 <= code < len(OPERATOR_NAMES) else f"OPERATOR_{code}"


def read_card(model: bytes) -> ModelCard | None:
    """The card of a model that edgematte converted; None for anybody else's .tflite file."""
    text = parse(model).metadata.get(CARD_NAME)
    return None if text is None else ModelCard.from_json(text)


def parse(model: bytes) -> ModelFile:
    """Walks the whole file. Raises ModelError where it is not a .tflite file, cut short, or contradicts itself."""
    if len(model) < 16 or model[4:8] != IDENTIFIER:
        raise ModelError(f"not a .tflite model: {_what_it_looks_like(model)}")
    try:
        return _Walk(model).model()
    except (struct.error, IndexError, OverflowError) as error:
        raise ModelError(f"the .tflite model is damaged or cut short ({error}); copy or convert it again") from error


def _what_it_looks_like(model: bytes) -> str:
    if not model:
        return "the file is empty"
    if model[:2] == b"\x08\x03" or b"onnx" in model[:64]:
        return (
            "it looks like an ONNX network; convert it: edgematte convert MODEL.onnx -o MODEL.tflite --calibrate PHOTOS"
        )
    if model[:4] == b"PK\x03\x04":
        return "it is a zip archive (a PyTorch checkpoint?); export it to ONNX and convert that"
    return f"it lacks the mark {IDENTIFIER.decode()} at byte 4; expected a .tflite file"


class _Walk(Flatbuffer):
    """Reads the tables of schema.fbs; a slot is a field's place in the schema, counted from 0."""

    def model(self) -> ModelFile:
        root = self.number("<I", 0)
        codes = self.tables(root, 1, self.operator_code)
        buffers = self.tables(root, 4, self.buffer)
        subgraphs = self.field_vector(root, 2)
        if not subgraphs:
            raise ModelError("the .tflite model holds no network; convert it again")
        metadata = dict(self.tables(root, 6, lambda at: self.metadata(at, buffers)))
        # Every subgraph is walked, for the interpreter will; the first one is the network.
        networks = [self.subgraph(at, codes, buffers) for at in subgraphs]
        tensors, operators, inputs, outputs = networks[0]
        if not inputs or not outputs or not operators:
            raise ModelError("the .tflite model has no input, no output or no operator; convert it again")
        description = self.string(root, 3)
        counts = [len(network[0]) for network in networks]
        self.tables(root, 7, lambda at: self.signature(at, counts))
        return ModelFile(description, tensors, operators, inputs, outputs, metadata, len(self.data))

    def subgraph(
        self, at: int, codes: list[tuple[str, bool]], buffers: list[tuple[int, int]]
    ) -> tuple[tuple[FileTensor, ...], tuple[FileOperator, ...], tuple[int, ...], tuple[int, ...]]:
        tensors = tuple(self.tables(at, 0, lambda t: self.tensor(t, buffers)))
        operators = tuple(self.tables(at, 3, lambda o: self.operator(o, codes)))
        inputs, outputs = self.integers(at, 1), self.integers(at, 2)
        self.string(at, 4)  # its name
        for operator in operators:
            self.check_indices(operator.inputs, len(tensors), f"{operator.name} reads", optional=True)
            self.check_indices(operator.outputs, len(tensors), f"{operator.name} writes")
            if operator.name == "CONV_2D":
                self.check_convolution([tensors[index] for index in operator.inputs[:2] if index >= 0])
        self.check_indices(inputs, len(tensors), "the network reads")
        self.check_indices(outputs, len(tensors), "the network gives")
        return tensors, operators, inputs, outputs

    @staticmethod
    def check_indices(indices: tuple[int, ...], count: int, who: str, *, optional: bool = False) -> None:
        lowest = -1 if optional else 0
        for index in indices:
            if not lowest <= index < count:
                raise IndexError(f"{who} tensor {index} of {count}")

    @staticmethod
    def check_convolution(picture_and_filters: list[FileTensor]) -> None:
        """An interpreter divides the one's channels by the other's, and the result divides filters."""
        channels = [tensor.shape[-1] for tensor in picture_and_filters if len(tensor.shape) == 4]
        if len(channels) == 2 and -1 not in channels:
            groups, rest = divmod(channels[0], channels[1]) if channels[1] else (0, 1)
            if rest or not groups or picture_and_filters[1].shape[0] % groups:
                raise IndexError(f"a convolution of {channels[0]} channels with filters for {channels[1]}")

    def operator_code(self, at: int) -> tuple[str, bool]:
        old, new = self.scalar(at, 0, "<b", 0), self.scalar(at, 3, "<i", 0)
        code = new if old in (0, PLACEHOLDER) else old
        if code == CUSTOM:
            return self.string(at, 1) or "(custom operator without a name)", True
        return operator_name(code), False

    def operator(self, at: int, codes: list[tuple[str, bool]]) -> FileOperator:
        index = self.scalar(at, 0, "<I", 0)
        if index >= len(codes):
            raise IndexError(f"operator code {index} of {len(codes)}")
        options = self.field(at, 4)
        if options is not None:
            self.check_table(self.follow(options))
        for slot, code_of_element in ((5, "B"), (7, "?"), (8, "i")):  # custom options, variable inputs, intermediates
            self.numbers(at, slot, code_of_element)
        name, custom = codes[index]
        return FileOperator(name, custom, self.integers(at, 1), self.integers(at, 2))

    def tensor(self, at: int, buffers: list[tuple[int, int]]) -> FileTensor:
        name, kind, buffer = self.string(at, 3), self.scalar(at, 1, "<B", 0), self.scalar(at, 2, "<I", 0)
        dtype, bits = _TYPES[kind] if kind < len(_TYPES) else (f"type {kind}", 0)
        if buffer >= len(buffers):
            raise IndexError(f"tensor '{name}' is in buffer {buffer} of {len(buffers)}")
        shape, (stored_at, stored) = self.integers(at, 0), buffers[buffer]
        if any(dimension < 0 for dimension in shape):
            raise IndexError(f"tensor '{name}' has the shape {shape}")
        size = (math.prod(shape) * bits + 7) // 8
        if size > LARGEST_TENSOR_BYTES:
            raise IndexError(f"tensor '{name}' of shape {shape} would need {size:,} bytes")
        # A sparse tensor (field 6) stores fewer numbers than its shape has.
        if stored and self.field(at, 6) is None and stored < size:
            raise IndexError(f"tensor '{name}' of shape {shape} has {stored} bytes")
        scales: tuple[float, ...] = ()
        zero_points: tuple[int, ...] = ()
        quantization = self.field(at, 4)
        if quantization is not None:
            table = self.follow(quantization)
            for unread in (0, 1):  # the ranges calibration saw: nobody needs them, but a damaged one must be noticed
                self.numbers(table, unread, "f")
            scales = tuple(self.numbers(table, 2, "f"))
            zero_points = self.integers(table, 3, "q")
            self.check_quantization(name, dtype, scales, zero_points)
        open_shape = self.integers(at, 7)
        return FileTensor(name, open_shape or shape, dtype, scales, zero_points, stored, stored_at)

    @staticmethod
    def check_quantization(name: str, dtype: str, scales: tuple[float, ...], zero_points: tuple[int, ...]) -> None:
        """Kernels index their tables with the zero point, so one outside its type reads foreign memory."""
        lowest, highest = _INTEGER_RANGES.get(dtype, (-(2**31), 2**31 - 1))
        if zero_points and not lowest <= min(zero_points) <= max(zero_points) <= highest:
            raise IndexError(f"tensor '{name}' is {dtype} with the zero point {zero_points[0]}")
        # A sum is finite where every scale is; the least of numbers among which is no NaN is the least.
        if scales and not (math.isfinite(sum(scales)) and min(scales) >= 0):
            raise IndexError(f"tensor '{name}' has the scale {scales[0]}")

    def buffer(self, at: int) -> tuple[int, int]:
        """(offset, length) of the constant data."""
        data = self.field(at, 0)
        if data is not None:
            start = self.follow(data)
            length = self.number("<I", start)
            offset = start + 4
        else:  # models beyond 2 GB keep their weights after the flatbuffer
            offset, length = self.scalar(at, 1, "<Q", 0), self.scalar(at, 2, "<Q", 0)
        if offset + length > len(self.data):
            raise IndexError(f"weights end at byte {offset + length} of {len(self.data)}")
        return offset, length

    def signature(self, at: int, counts: list[int]) -> None:
        """A named entry to a subgraph; nothing here uses one, the interpreters read it all the same."""
        self.string(at, 2)
        count = counts[self.scalar(at, 4, "<I", 0)]
        for slot in (0, 1):
            for entry in self.field_vector(at, slot):
                self.string(entry, 0)
                self.check_indices((self.scalar(entry, 1, "<I", 0),), count, "the signature names")

    def metadata(self, at: int, buffers: list[tuple[int, int]]) -> tuple[str, bytes]:
        index = self.scalar(at, 1, "<I", 0)
        if index >= len(buffers):
            raise IndexError(f"metadata in buffer {index} of {len(buffers)}")
        offset, length = buffers[index]
        return self.string(at, 0), self.data[offset : offset + length]
