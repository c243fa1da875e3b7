"""A worker that trains with the chief: ``python -m components.training.worker``, with TF_CONFIG in its environment.

It waits for the chief, trains one model with it, and ends; started again (``infra/k8s/components/training``), it waits for
the next. It must see the artifacts where the chief sees them.
"""

import logging
import sys
import tempfile
from pathlib import Path

from components.errors import WinnowError
from components.training.distribution import train_as_told


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        with tempfile.TemporaryDirectory() as folder:
            train_as_told(Path(folder))
    except WinnowError as error:
        print(f"winnow: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
