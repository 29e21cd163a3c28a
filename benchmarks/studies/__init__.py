"""What was measured once and can be again: a command each, not part of the wheel."""
