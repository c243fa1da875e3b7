"""The stream tier in a process that dies: ``python -m tests.pipelines.nearline_process CONFIG WORKDIR STEP``.

Once STEP is done the process is gone, as if it had been killed: nothing is flushed, closed or cleared up.
"""

import os
import signal
import sys
from pathlib import Path

from components.config import load_config
from pipelines.beam_profiles import LOCAL_BEAM
from pipelines.nearline import StreamTier


def main(config: str, workdir: str, last_step: str) -> None:
    def on_step(step: str, batch: int) -> None:
        if step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    tier = StreamTier(load_config(Path(config)), Path(workdir), LOCAL_BEAM, on_step)
    with tier.alone():
        while tier.next_batch(tier.pending()) is not None:
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
