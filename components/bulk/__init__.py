"""Precomputed lists for every user: the gateway's fallback, and what a mail is made of."""
