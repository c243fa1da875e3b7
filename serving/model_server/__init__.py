"""An embedded model server with TensorFlow Serving's gRPC and REST API, for one machine and for tests.

It reads the same folders, flags and model config files as ``tensorflow_model_server`` and gives the same answers, so
that production can run the stock image in its place without a change to any client.
"""
