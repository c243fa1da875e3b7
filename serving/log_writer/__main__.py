"""``python -m serving.log_writer``."""

import sys

from serving.log_writer.command_line import main

sys.exit(main())
