"""A compiled pipeline as it lies in a file: what must be known of it to submit and to follow it."""

import graphlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.errors import ArtifactError, ConfigError

SCHEMA_VERSION = "2.1.0"
WANTED = "a compiled pipeline, as `winnow compile --output pipeline.yaml` writes"
_HASH_LENGTH = 12
_TYPES = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": float, "BOOLEAN": bool, "LIST": list, "STRUCT": dict}


@dataclass(frozen=True)
class Package:
    """A pipeline.yaml.

    Attributes:
      nodes: the nodes that do work, each after those it waits for.
      parameters: of a run, by name; the type as PipelineSpec names it, such as ``NUMBER_INTEGER``.
      root: where artifacts go unless a run says otherwise; None leaves it to the installation.
      version: says which content this is; the same bytes have the same version.
    """

    path: Path
    name: str
    nodes: tuple[str, ...]
    parameters: Mapping[str, str]
    root: str | None
    version: str

    @classmethod
    def read(cls, path: Path) -> "Package":
        """The package at ``path``.

        Raises:
          ArtifactError: it is missing, is no compiled pipeline, or is one that Kubeflow Pipelines 2 does not take.
        """
        try:
            content = path.read_bytes()
            spec = next(yaml.load_all(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), None)
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read ({error.strerror}); wanted {WANTED}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path}: is not valid YAML ({error}); wanted {WANTED}") from error
        if (
            path.suffix not in (".yaml", ".yml")
            or not isinstance(spec, dict)
            or "pipelineInfo" not in spec
            or "root" not in spec
        ):
            raise ArtifactError(f"{path}: is no pipeline; wanted {WANTED}")
        if spec.get("schemaVersion") != SCHEMA_VERSION:
            raise ArtifactError(
                f"{path}: found schema version {spec.get('schemaVersion')!r}, but Kubeflow Pipelines 2 takes {SCHEMA_VERSION} "
                "only; compile the pipeline anew with `winnow compile`"
            )
        inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return cls(
            path=path,
            name=spec["pipelineInfo"]["name"],
            nodes=tuple(_nodes(spec, spec["root"])),
            parameters={name: definition["parameterType"] for name, definition in inputs.items()},
            root=spec.get("defaultPipelineRoot") or None,
            version=f"sha256-{hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]}",
        )

    def values(self, settings: Iterable[str]) -> dict[str, Any]:
        """Run parameters from ``name=value`` lines, each of the type that the pipeline declares.

        Raises:
          ConfigError: a line is of another form, names no parameter, or has a value of another type.
        """
        values: dict[str, Any] = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise ConfigError(f"--set {setting}: wanted name=value")
            if name not in self.parameters:
                known = ", ".join(sorted(self.parameters)) or "none"
                raise ConfigError(f"--set {setting}: {self.name} has no parameter {name!r}; it has {known}")
            values[name] = _value(setting, text, self.parameters[name])
        return values


def _nodes(spec: Mapping[str, Any], component: Mapping[str, Any]) -> Iterable[str]:
    """Depth first: a node that is itself a graph stands for the nodes in it."""
    tasks = component.get("dag", {}).get("tasks", {})
    order = graphlib.TopologicalSorter({name: sorted(tasks[name].get("dependentTasks", [])) for name in sorted(tasks)})
    for name in order.static_order():
        inner = spec.get("components", {}).get(tasks[name]["componentRef"]["name"], {})
        if "dag" in inner:
            yield from _nodes(spec, inner)
        else:
            yield name


def _value(setting: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    try:
        value = json.loads(text, parse_constant=_refused)
    except ValueError:
        value = None
    if kind == "NUMBER_DOUBLE" and type(value) is int:
        value = float(value)
    wanted = _TYPES[kind]
    if type(value) is not wanted:
        raise ConfigError(f"--set {setting}: found {text!r}, wanted a value of type {kind}, in JSON")
    return value


def _refused(constant: str) -> None:
    """Python's JSON takes NaN and Infinity, which are no JSON."""
    raise ValueError(constant)
