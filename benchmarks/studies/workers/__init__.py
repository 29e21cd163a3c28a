"""What studies run in other environments; each stands alone."""
