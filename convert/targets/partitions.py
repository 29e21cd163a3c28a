"""A .tflite → into how many pieces XNNPACK, which computes int8 fast on a Pi's cores, takes it.

One piece is best. At every operator XNNPACK has no kernel for, the network is handed to slower code and back.
"""

from __future__ import annotations

from importlib import import_module

from ...runtime.device.stderr_capture import capture_stderr
from ...runtime.errors import ModelError

DELEGATED = "DELEGATE"  # how the interpreter lists a piece that was taken over


def partitions(model: bytes) -> int:
    """The number of pieces; 0 where XNNPACK takes nothing. Raises ModelError when the interpreter refuses the model."""
    module = import_module("ai_edge_litert.interpreter")
    try:
        with capture_stderr():
            network = module.Interpreter(model_content=model, num_threads=1)
            network.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the interpreter refuses the model: {str(error).splitlines()[0]}") from error
    # Not part of the interpreter's public face, and the only place where it says so.
    return sum(details["op_name"] == DELEGATED for details in network._get_ops_details())
