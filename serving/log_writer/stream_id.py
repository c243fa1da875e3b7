"""Ids of the stream's entries, which are ordered as numbers and not as text."""

StreamId = tuple[int, int]


def parsed(stream_id: str) -> StreamId:
    """The moment in ms UTC at which the entry came, and its number within it."""
    moment_ms, number = stream_id.split("-")
    return int(moment_ms), int(number)
