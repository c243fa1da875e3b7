"""Recall: trains the two towers."""
