"""What the owner may do while the booth runs: change settings, export, see how the evening goes."""
