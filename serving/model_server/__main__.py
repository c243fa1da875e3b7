"""``python -m serving.model_server``."""

import sys

from serving.model_server.command_line import main

sys.exit(main())
