"""The one way to a Valkey or Redis server, or to a cluster of them."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from components.errors import ConfigError, ServingError

SCHEMES = ("redis", "rediss", "unix")
CLUSTER = "+cluster"
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
