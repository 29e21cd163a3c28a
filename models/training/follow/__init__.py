"""unet-follow, which keeps one remembered subject: what it learns from and its training."""
