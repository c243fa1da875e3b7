"""Import parts of TensorFlow without the whole: what brings the server up in two seconds and not in twelve.

``import tensorflow`` builds the public API and pulls in Keras, ten seconds and hundreds of megabytes that a process
which only runs sessions has no use for.
"""

import importlib.util
import os
import sys
import types

from components.errors import ServingError


def enter_lean_tensorflow() -> None:
    """Let ``import tensorflow.python.…`` load that module and what it needs, and ``import tensorflow`` next to nothing.

    A bare package takes the place of the real one for the rest of the process, so this is for a process of the server's
    own and for its very start: where TensorFlow is imported already, nothing is changed.
    """
    if "tensorflow" in sys.modules:
        return
    # Where the user has not said otherwise, only warnings and errors are worth a line in a server's log.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        raise ServingError("tensorflow is not installed; the server runs on it: pip install winnow-recsys[serving]")
    package = types.ModuleType("tensorflow")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["tensorflow"] = package
