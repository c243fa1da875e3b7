"""Two runs on the same data come to the same numbers, digit by digit.

TFX's readers let Beam choose the size of their batches by how fast each is taken, and Transform adds up means batch by batch:
the last digits of its constants, and with them all that is trained, would differ between any two runs.
"""

from absl import flags
from tfx_bsl.coders import batch_util  # noqa: F401  it defines the flag


def read_in_equal_batches() -> None:
    """Batches of 20 MiB, and of 8,192 samples at the most, in the pipelines that this process makes from now on."""
    flags.FLAGS.mark_as_parsed()
    flags.FLAGS.tfxio_use_byte_size_batching = True
