"""How many files and sockets a process may have open."""

import resource


def allow_all() -> None:
    """As many as the administrator lets it have: processes begin with a thousand or so, which a server soon needs."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
