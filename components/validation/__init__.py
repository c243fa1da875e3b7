"""Stops the run when the statistics of the samples break their schema."""
