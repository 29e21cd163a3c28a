"""A fleet's devices, each a folder here: bundles, updates, and what must be refused."""
