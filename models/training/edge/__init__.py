"""unet-edge, the refiner: its network, what it learns from, how its loss counts, and its training."""
