"""Answers requests from a release; never imports the batch stack."""
