"""What each listener of the booth answers: its own screen, a guest's telephone."""
