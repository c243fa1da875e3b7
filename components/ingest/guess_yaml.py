"""Write YAML with a comment at each line, which a YAML library does not."""

import json
import re
import textwrap

LINE_LENGTH = 120
NO_PLAIN_WORDS = frozenset(["yes", "no", "on", "off", "true", "false", "null", "y", "n"])


def scalar(text: str) -> str:
    """The text as a YAML scalar, quoted where it would be read as something else."""
    plain = re.fullmatch(r"(?:\.\./)*[A-Za-z_][\w./-]*", text, re.ASCII) and text.lower() not in NO_PLAIN_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def config_name(text: str) -> str:
    """A name that the config accepts for a task, a feature or a context, out of any text."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text.split(":")[0]).lower()
    plain = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    return (plain if plain[:1].isalpha() else f"x_{plain}")[:63].rstrip("_")


class YamlLines:
    """Lines of YAML, one after the other."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, depth: int, text: str, why: str = "") -> None:
        """A line, with its comment behind it or, if that is too long, above it."""
        indent = "  " * depth
        if not why:
            self._lines.append(f"{indent}{text}")
        elif len(line := f"{indent}{text}  # {why}") <= LINE_LENGTH:
            self._lines.append(line)
        else:
            self.remark(depth, why)
            self._lines.append(f"{indent}{text}")

    def remark(self, depth: int, text: str, hanging: str = "") -> None:
        """A comment of its own."""
        prefix = "  " * depth + "# "
        self._lines += textwrap.wrap(
            text, LINE_LENGTH, initial_indent=prefix, subsequent_indent=prefix + hanging, break_on_hyphens=False
        )

    def blank(self) -> None:
        self._lines.append("")

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"
