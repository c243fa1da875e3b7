"""Nearest items by dot product: the exact index, which is the oracle, and ScaNN, behind one interface."""
