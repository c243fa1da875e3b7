"""Releases: what is evaluated, blessed, published, served and rolled back as one."""
