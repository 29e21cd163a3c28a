"""A float TFLite graph → one of the same function that int8 suits better."""
