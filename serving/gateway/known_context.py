"""The context of requests and events: only what the data set has a column for is taken."""

from collections.abc import Iterable

from components.config import DatasetConfig
from serving.gateway.errors import UnfitRequestError


def check_context(names: Iterable[str], dataset: DatasetConfig, where: tuple[str | int, ...] = ()) -> None:
    """
    Args:
      where: the path of what has the context, from the body on.

    Raises:
      UnfitRequestError: the data set has no such column. Models and log read by column, and would pass the value over.
    """
    known = dataset.events.context
    for name in names:
        if name not in known:
            wanted = f"one of: {', '.join(known)}" if known else "none at all"
            raise UnfitRequestError((*where, "context", name), f"found {name!r}, wanted {wanted}")
