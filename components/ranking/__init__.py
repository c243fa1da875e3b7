"""Ranking: trains a multi-task ranker on what was shown, or on what recall would have shown."""
