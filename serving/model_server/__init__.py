"""An embedded model server with TensorFlow Serving's gRPC and REST API, for one machine and for tests.

It reads the same folders, flags and config files as ``tensorflow_model_server`` and gives the same answers, so that
production can run the stock image in its place without a change to any client.

What the stock server has and this one has not: models in TensorFlow Lite's form, the ops of TensorFlow Text, the
profiler's service, model folders that are not on this machine's own file system, encrypted ports, request logging, and
the platforms of ``--platform_config_file``.

What is otherwise on purpose: it listens to this machine alone unless told otherwise; port 0 is any free port; a base
path that is not there is an error at start-up, and a model without a version yet keeps nobody waiting; long JSON values
are cut short in messages.
"""
