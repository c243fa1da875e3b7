"""The writer of the online log: event stream → Parquet, every entry, and every record lately, exactly once."""
