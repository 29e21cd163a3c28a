"""What surrounds guests: backgrounds, effects, and pictures painted over them."""
