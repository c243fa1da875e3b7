"""What winnow's things are and how each step computes; knows nothing of who calls it."""

import os

# TensorFlow Recommenders refuses Keras 3, and TensorFlow reads this once, when it is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
