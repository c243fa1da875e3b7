"""The parameters that a run on Kubeflow may set: which days of events to read, and changes of the config."""

import json
from collections.abc import Mapping
from typing import Any

from components.config import PipelineConfig, parse_config
from components.errors import ConfigError

OVERRIDES, SPAN = "overrides", "span"
RUN_PARAMETERS = (OVERRIDES, SPAN)
CONFIG, CUSTOM_CONFIG = "config", "custom_config"  # the execution properties that hold a config, the second inside of it


def patch_of(overrides: str, span: str) -> dict[str, Any]:
    """The change of the config that a run's parameters ask for.

    Raises:
      ConfigError: the overrides are no JSON object, or name a section that there is not.
    """
    try:
        patch = json.loads(overrides or "{}")
    except json.JSONDecodeError as error:
        raise ConfigError(f"{OVERRIDES}: found {overrides!r}, which is no JSON ({error})") from error
    if not isinstance(patch, dict):
        raise ConfigError(f'{OVERRIDES}: found {overrides!r}, wanted an object such as {{"ranking": {{"epochs": 5}}}}')
    unknown = sorted(patch.keys() - PipelineConfig.model_fields.keys())
    if unknown or "name" in patch:
        sections = ", ".join(name for name in PipelineConfig.model_fields if name != "name")
        raise ConfigError(f"{OVERRIDES}: found {(unknown or ['name'])[0]!r}, wanted one of {sections}")
    first, _, last = span.partition("..")
    days = {key: day for key, day in (("first_day", first), ("last_day", last)) if day}
    return merged(patch, {"dataset": {"events": days}}) if days else patch


def overridden(parameters: Mapping[str, Any], patch: Mapping[str, Any], node: str) -> dict[str, Any]:
    """A node's execution properties, the config in them changed by the part of ``patch`` whose sections they have.

    Raises:
      ConfigError: the changed config is wrong; names the key.
    """
    changed = dict(parameters)
    if CONFIG in changed:
        changed[CONFIG] = _patched(changed[CONFIG], patch, node)
    if CUSTOM_CONFIG in changed:
        custom = json.loads(changed[CUSTOM_CONFIG])
        changed[CUSTOM_CONFIG] = json.dumps({**custom, CONFIG: _patched(custom[CONFIG], patch, node)})
    return changed


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``document`` with ``patch`` merged into it: JSON Merge Patch (RFC 7396)."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _patched(config: str, patch: Mapping[str, Any], node: str) -> str:
    document = json.loads(config)
    changed = merged(document, {section: change for section, change in patch.items() if section in document})
    if changed == document:
        return config
    parse_config(json.dumps(changed), origin=f"{node}, with the run's {OVERRIDES} and {SPAN}")
    return json.dumps(changed, separators=(",", ":"), ensure_ascii=False)
