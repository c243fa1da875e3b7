"""Secrets from the environment, or from the files that it names, as container platforms mount them."""

from collections.abc import Mapping
from pathlib import Path

from components.errors import ConfigError


def named(variable: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The secret of ``variable``, or of the file that ``variable`` with ``_FILE`` after it names; None where neither is set.

    Returns:
      The name that was set, for messages, and the secret.

    Raises:
      ConfigError: both are set, or the file cannot be read; names the variable, never the secret.
    """
    file = f"{variable}_FILE"
    if variable in environment and file in environment:
        raise ConfigError(f"both {variable} and {file} are set; set one of them")
    if variable in environment:
        return variable, environment[variable]
    if file not in environment:
        return None
    try:
        return file, Path(environment[file]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {environment[file]} cannot be read: {type(error).__name__}") from error
