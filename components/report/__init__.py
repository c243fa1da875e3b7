"""The page about one run: what it is made of, its charts, its HTML."""
