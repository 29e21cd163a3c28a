"""Labelled photos → samples: read, labelled by a rule, composed, painted, spoiled as cameras spoil them."""
