"""Runs on the board: MODEL.tflite, an input tensor (.npy), the output's place → one inference by tflite-runtime alone.

A 32-bit board has no others; elsewhere edgematte would choose XNNPACK's.
"""

from __future__ import annotations

import sys

import numpy as np
from tflite_runtime.interpreter import Interpreter

model, tensor, output = sys.argv[1:]
network = Interpreter(model_path=model, num_threads=1)
network.allocate_tensors()
network.set_tensor(network.get_input_details()[0]["index"], np.load(tensor))
network.invoke()
np.save(output, network.get_tensor(network.get_output_details()[0]["index"]))
