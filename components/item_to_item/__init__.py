"""Which items go with which, by who had both: cosine of co-occurrence or EASE. One table for evaluation and serving."""
