"""Which steps run, in which order, and where; no maths."""
