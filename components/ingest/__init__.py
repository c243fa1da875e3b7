"""Sources (CSV, Parquet, JSON lines) → event log and catalogue; bad rows are kept with their reason."""
