"""A float TFLite network and photos → its int8 network."""
