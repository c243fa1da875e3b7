"""``python -m serving.gateway``."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # ScaNN brings TensorFlow, which would tell of the GPUs that it lacks

from serving.gateway.command_line import main

sys.exit(main())
