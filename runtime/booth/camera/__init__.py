"""A camera → what guests see of themselves, and the photo."""
