"""Arrow batches as bytes: what Beam moves between steps, one object per batch instead of one per row."""

import pyarrow as pa

OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def to_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=OPTIONS) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def from_bytes(pieces: list[bytes]) -> pa.Table:
    """The pieces, all of one schema, as one table."""
    return pa.concat_tables([pa.ipc.open_stream(piece).read_all() for piece in pieces])
