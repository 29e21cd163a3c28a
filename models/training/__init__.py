"""The recipe that made the networks in `models/`: PyTorch, in the repository only, never on a device."""
