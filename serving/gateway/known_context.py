"""The context of requests and events: only what a data set has a column for is taken."""

from collections.abc import Collection, Iterable

from serving.gateway.errors import UnfitRequestError


def check_context(names: Iterable[str], known: Collection[str], where: tuple[str | int, ...] = ()) -> None:
    """
    Args:
      known: the data set's columns.
      where: the path of what has the context, from the body on.

    Raises:
      UnfitRequestError: there is no such column. Models and log read by column, and would pass the value over.
    """
    for name in names:
        if name not in known:
            wanted = f"one of: {', '.join(sorted(known))}" if known else "none at all"
            raise UnfitRequestError((*where, "context", name), f"found {name!r}, wanted {wanted}")
