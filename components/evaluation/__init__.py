"""Judges the whole funnel on the test split, beside baselines, and gives one verdict with its reasons."""
