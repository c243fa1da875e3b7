"""Read a file of settings; say exactly which key is wrong."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import ValidationError

from components.config.pipeline import PipelineConfig
from components.config.settings import Settings
from components.config.tuning import with_values
from components.errors import ConfigError

S = TypeVar("S", bound=Settings)


def load_config(path: Path) -> PipelineConfig:
    """The settings in the YAML file at ``path``, its relative data paths resolved against its folder.

    Raises:
      ConfigError: the file is missing, is no YAML, or a key in it is wrong.
    """
    config = load_settings(path, PipelineConfig, "a YAML config, as `winnow init` writes")
    return config.model_copy(update={"dataset": config.dataset.resolved(path.resolve().parent)})


def parse_config(text: str, origin: str) -> PipelineConfig:
    """The settings in ``text``; ``origin`` names it in errors."""
    return parse_settings(text, origin, PipelineConfig)


def tuned_config(config: PipelineConfig, section: str, values: Mapping[str, Any]) -> PipelineConfig:
    """The settings with other values of a section's keys, and nothing more to search for.

    Raises:
      ConfigError: the values do not go together.
    """
    document = with_values(config.model_dump(mode="json", exclude={"tuning"}), section, values)
    return parse_config(json.dumps(document), origin=f"{section} with {json.dumps(dict(values))}")


def load_settings(path: Path, kind: type[S], wanted: str) -> S:
    """Settings of any kind from the YAML file at ``path``; ``wanted`` says in errors what should lie there.

    Raises:
      ConfigError: the file is missing, is no YAML, or a key in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); wanted {wanted}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    return parse_settings(text, str(path), kind)


def parse_settings(text: str, origin: str, kind: type[S]) -> S:
    """Settings of any kind in YAML ``text``; ``origin`` names it in errors."""
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506  a safe loader, of a stricter kind
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        required = [name for name, field in kind.model_fields.items() if field.is_required()]
        keys = f"the keys {' and '.join(required)}" if required else f"any of the keys {', '.join(kind.model_fields)}"
        raise ConfigError(f"{origin}: found {_kind(raw)}, wanted a mapping with {keys}")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{origin}:\n" + "\n".join(_lines(error, kind))) from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _lines(error: ValidationError, settings: type[Settings]) -> list[str]:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "(whole file)"
        kind, found = problem["type"], problem["input"]
        message = problem["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            known = _known_keys(settings, problem["loc"][:-1])
            close = difflib.get_close_matches(str(problem["loc"][-1]), known, 1)
            advice = f"did you mean {close[0]}?" if close else f"wanted one of: {', '.join(known)}"
            lines.append(f"  {key}: unknown key; {advice}")
        elif kind == "missing":
            lines.append(f"  {key}: is missing, and has no default")
        elif kind == "value_error":
            lines.append(f"  {key}: {message}")
        else:
            lines.append(f"  {key}: found {_shown(found)}, {message[0].lower()}{message[1:]}")
    return lines


def _known_keys(kind: type[Settings], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at ``location``."""
    section: Any = kind
    for part in location:
        if get_origin(section) is dict:
            section = get_args(section)[-1]
        elif get_origin(section) is tuple:
            section = get_args(section)[0]
        elif hasattr(section, "model_fields"):
            section = section.model_fields[part].annotation
            if get_origin(section) not in (dict, tuple):
                choices = [each for each in get_args(section) if hasattr(each, "model_fields")]
                # of `Section | None`, the section; of several, the one that the next part of the location names by its tag
                section = choices[0] if len(choices) == 1 else section
        else:
            section = next(each for each in get_args(section) if part in _tags(each))
    return list(section.model_fields)


def _tags(section: type[Settings]) -> set[Any]:
    """The values of the section's keys that can have few."""
    return {value for field in section.model_fields.values() for value in get_args(field.annotation)}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _kind(value: Any) -> str:
    return "an empty file" if value is None else f"a {type(value).__name__}"
