"""The writer of the online log: event stream → Parquet, every entry exactly once."""
