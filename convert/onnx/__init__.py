"""An ONNX file → a checked graph → a float TFLite network."""
