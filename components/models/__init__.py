"""Layers, towers and rankers: Keras code only; no files, no TFX."""
