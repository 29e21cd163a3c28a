"""A library that holds XNNPACK → a delegate of it that also takes int8 operators.

tflite-runtime 2.14 has XNNPACK's int8 kernels and by itself hands it float32 operators only. Its own int8 kernels take
twice as long on x86, and convolutions round halves up there and away from zero on Arm: one network, two mattes.
"""

from __future__ import annotations

import ctypes

# Of TfLiteXNNPackDelegateOptions.flags (tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h, 2.14).
SIGNED_INT8, UNSIGNED_INT8 = 0x1, 0x2
ROOM = 120  # bytes for the options that follow; there are 16 in 2.14, and C writes no more than it has


class _Options(ctypes.Structure):
    _fields_ = (("num_threads", ctypes.c_int32), ("flags", ctypes.c_uint32), ("rest", ctypes.c_uint8 * ROOM))


class XNNPack:
    """What an interpreter asks of a delegate; it must outlive the interpreter, which keeps it."""

    def __init__(self, library: ctypes.CDLL, *, threads: int) -> None:
        """Raises AttributeError when the library has no XNNPACK, RuntimeError when it does not start here."""
        defaults = library.TfLiteXNNPackDelegateOptionsDefault
        defaults.restype = _Options
        create = library.TfLiteXNNPackDelegateCreate
        create.argtypes, create.restype = [ctypes.POINTER(_Options)], ctypes.c_void_p
        self._delete = library.TfLiteXNNPackDelegateDelete
        self._delete.argtypes, self._delete.restype = [ctypes.c_void_p], None
        options = defaults()
        options.num_threads = threads
        options.flags |= SIGNED_INT8 | UNSIGNED_INT8
        self._pointer: int | None = create(options)
        if self._pointer is None:
            raise RuntimeError("XNNPACK does not start on this processor")

    def _get_native_delegate_pointer(self) -> int | None:
        return self._pointer

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self._delete(self._pointer)
