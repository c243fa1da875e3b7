"""Online experiments: who gets what, as pure functions."""
