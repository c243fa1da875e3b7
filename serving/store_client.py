"""The one way to a Valkey or Redis server, or to a cluster of them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from components.errors import ConfigError, ServingError
from serving import secret

SCHEMES = ("redis", "rediss", "unix")
CLUSTER = "+cluster"
PASSWORD = "WINNOW_STORE_PASSWORD"  # noqa: S105  the variable's name
STORE_ERRORS = (redis.RedisError, redis.exceptions.RedisClusterException)  # the latter is no RedisError


def store_client(url: str, timeout_s: float, **options: Any) -> Any:
    """A client with its pool of connections; threads may share one. A server is connected with the first call, a cluster now.

    Args:
      url: ``redis://host:port/0``, ``rediss://`` (TLS; ``?ssl_ca_certs=/path``) or ``unix://``; the first two with
        ``+cluster`` after the scheme for a cluster, of which one node is named.
      timeout_s: of one call. A connection that a restarted server has closed is made anew at once; whatever else fails is
        not tried again: whoever calls has a deadline, and something to do instead.
      options: further ones of redis-py.

    Raises:
      ConfigError: the URL is no such one. ServingError: the cluster does not answer.
    """
    scheme, found, rest = url.partition("://")
    plain = scheme.removesuffix(CLUSTER)
    if not found or plain not in SCHEMES or scheme == f"unix{CLUSTER}":
        raise ConfigError(
            f"the store's URL begins with {scheme!r}, wanted redis://, rediss:// or unix://, or redis+cluster:// or "
            "rediss+cluster:// for a cluster"
        )
    kind: Any = redis.RedisCluster if scheme.endswith(CLUSTER) else redis.Redis
    options |= {"protocol": 2}  # whose replies have one shape, from a server and from a cluster
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    try:
        return kind.from_url(
            f"{plain}://{rest}", socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry, **options
        )
    except STORE_ERRORS as error:
        raise ServingError(f"the store's cluster does not answer: {error}") from error


def with_password(url: str, environment: Mapping[str, str]) -> str:
    """The URL with the password of ``WINNOW_STORE_PASSWORD``, or of the file that ``WINNOW_STORE_PASSWORD_FILE`` names.

    So that no command line holds it. Without either the URL stays as it is.

    Raises:
      ConfigError: the URL holds a password too, or has no host to hold one, or the file cannot be read.
    """
    found = secret.named(PASSWORD, environment)
    if found is None:
        return url
    variable, password = found
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if scheme == "unix" or ":" in user:
        raise ConfigError(f"{variable} is set; wanted a store's URL with a host and without a password")
    return f"{scheme}://{user if at else ''}:{quote(password, safe='')}@{host}"
