"""Raw pictures with their times → a Matroska stream, which is how frames of any pace get through a pipe into ffmpeg.

Raw video has no room for timestamps, so ffmpeg would space the frames evenly. Of Matroska (RFC 9559) this needs a
header, one uncompressed track and a cluster per frame; it is never stored.
"""

from __future__ import annotations

import struct

from ...picture.images import Size

NS_PER_TICK = 1000  # timestamps count microseconds
UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"

# Element identifiers of RFC 8794 (EBML) and RFC 9559.
_EBML, _DOC_TYPE, _DOC_VERSION, _DOC_READ_VERSION = 0x1A45DFA3, 0x4282, 0x4287, 0x4285
_SEGMENT, _INFO, _TIMESTAMP_SCALE, _MUXER, _WRITER = 0x18538067, 0x1549A966, 0x2AD7B1, 0x4D80, 0x5741
_TRACKS, _TRACK, _NUMBER, _UID, _TYPE, _CODEC = 0x1654AE6B, 0xAE, 0xD7, 0x73C5, 0x83, 0x86
_DEFAULT_DURATION, _VIDEO, _WIDTH, _HEIGHT, _FOURCC = 0x23E383, 0xE0, 0xB0, 0xBA, 0x2EB524
_CLUSTER, _TIMESTAMP, _SIMPLE_BLOCK = 0x1F43B675, 0xE7, 0xA3
_RGB24 = b"RGB\x18"  # ffmpeg's own code for 24-bit R, G, B
_KEYFRAME = 0x80


def header(size: Size, *, alpha: bool, fps: float) -> bytes:
    """What comes before the first frame. `alpha`: pictures are RGBA, else RGB. `fps` is only the usual pace."""
    video = _number(_WIDTH, size[0]) + _number(_HEIGHT, size[1]) + _element(_FOURCC, b"RGBA" if alpha else _RGB24)
    track = b"".join(
        (
            _number(_NUMBER, 1),
            _number(_UID, 1),
            _number(_TYPE, 1),
            _element(_CODEC, b"V_UNCOMPRESSED"),
            _number(_DEFAULT_DURATION, round(1e9 / fps)),
            _element(_VIDEO, video),
        )
    )
    ebml = _element(_DOC_TYPE, b"matroska") + _number(_DOC_VERSION, 4) + _number(_DOC_READ_VERSION, 2)
    info = _number(_TIMESTAMP_SCALE, NS_PER_TICK) + _element(_MUXER, b"edgematte") + _element(_WRITER, b"edgematte")
    return b"".join(
        (
            _element(_EBML, ebml),
            _identifier(_SEGMENT) + UNKNOWN_SIZE,
            _element(_INFO, info),
            _element(_TRACKS, _element(_TRACK, track)),
        )
    )


def frame_header(time_s: float, length: int) -> bytes:
    """What comes before the `length` bytes of one picture."""
    time = _number(_TIMESTAMP, round(time_s * 1e9 / NS_PER_TICK))
    block = struct.pack(">BhB", 0x81, 0, _KEYFRAME)  # track 1, no time after the cluster's
    block_header = _identifier(_SIMPLE_BLOCK) + _length(len(block) + length) + block
    return _identifier(_CLUSTER) + _length(len(time) + len(block_header) + length) + time + block_header


def _element(identifier: int, content: bytes) -> bytes:
    return _identifier(identifier) + _length(len(content)) + content


def _number(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _identifier(identifier: int) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")


def _length(length: int) -> bytes:
    return (length | 1 << 56).to_bytes(8, "big")
