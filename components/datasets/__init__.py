"""Data to try winnow on: public data sets taken from published wheels, and a simulator of any size."""
