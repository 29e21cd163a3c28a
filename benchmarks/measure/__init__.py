"""What `bench` measures, one figure a file."""
