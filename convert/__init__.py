"""What runs on the workstation: an ONNX network in, an int8 TFLite model out, with the evidence of what that cost."""
