"""What int8 cost and what it gained: accuracy and latency of two networks on the same photos."""
