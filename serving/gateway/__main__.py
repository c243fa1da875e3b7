"""``python -m serving.gateway``."""

import sys

from serving.gateway.command_line import main

sys.exit(main())
