"""One key for each role: from the environment or a file, compared in constant time, and kept as a digest."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from components.errors import ConfigError
from serving import secret

MIN_KEY_LENGTH = 16


class Role(StrEnum):
    """What a key is for; the administrator's opens everything."""

    RECOMMEND = "recommend"
    EVENTS = "events"
    ADMIN = "admin"

    @property
    def variable(self) -> str:
        return f"WINNOW_{self.upper()}_KEY"

    def opens(self, wanted: "Role") -> bool:
        return self in (wanted, Role.ADMIN)


KEY_VARIABLES = ", ".join(role.variable for role in Role)


@dataclass(frozen=True)
class Keys:
    """Attributes: digests: SHA-256 of each role's key; the keys themselves are not kept, so nothing can print them."""

    digests: Mapping[Role, bytes]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Each role's key from ``WINNOW_<ROLE>_KEY``, or from the file that ``WINNOW_<ROLE>_KEY_FILE`` names; all or none.

        Raises:
          ConfigError: some are missing, too short, given twice or the same; names the variables, never a key.
        """
        keys = {role: key for role in Role if (key := read_key(role, environment)) is not None}
        if not keys:
            return None
        if missing := [role.variable for role in Role if role not in keys]:
            raise ConfigError(f"found keys for {', '.join(keys)} alone; set {' and '.join(missing)} too, or none of them")
        if len(set(keys.values())) < len(keys):
            raise ConfigError(f"two of {KEY_VARIABLES} are the same; give each its own key")
        return cls({role: _digest(key) for role, key in keys.items()})

    def role_of(self, key: str | None) -> Role | None:
        """The role that a key was given for; None for no key and for an unknown one.

        All digests are compared, whichever fits: neither a key's text nor its place shows in the time taken.
        """
        digest = _digest(key or "")
        fitting = [role for role, known in self.digests.items() if hmac.compare_digest(known, digest)]
        return fitting[0] if fitting else None


def check_host(host: str, keys: Keys | None) -> None:
    """Without keys the gateway listens to its own machine only.

    Raises:
      ConfigError: others could reach it and there are no keys.
    """
    if keys is None and not is_loopback(host):
        raise ConfigError(f"to listen on {host}, which others can reach, set {KEY_VARIABLES} (or …_KEY_FILE for each)")


def read_key(role: Role, environment: Mapping[str, str]) -> str | None:
    """The key of ``WINNOW_<ROLE>_KEY``, or of the file that ``WINNOW_<ROLE>_KEY_FILE`` names; None where neither is set.

    Raises:
      ConfigError: it cannot be read, or is none; names the variable, never the key.
    """
    found = secret.named(role.variable, environment)
    if found is None:
        return None
    variable, key = found
    if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"{variable}: found a key of {len(key)} characters; "
            f"wanted at least {MIN_KEY_LENGTH} of printable ASCII without spaces, such as `openssl rand -hex 32` gives"
        )
    return key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def is_loopback(host: str) -> bool:
    """Whether only this machine itself can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
