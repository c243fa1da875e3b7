"""Which version of which model a request is for."""

from dataclasses import dataclass
from typing import Any, Self

from serving.model_server.status import invalid_argument


@dataclass(frozen=True)
class ModelChoice:
    """A model by name; its version by number, by label, or, with neither, the highest that is served."""

    name: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def from_request(cls, request: Any) -> Self:
        """What the ModelSpec of a request proto says. Raises StatusError where there is none."""
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        return cls.from_spec(request.model_spec)

    @classmethod
    def from_spec(cls, spec: Any) -> Self:
        """What a ModelSpec says. Raises StatusError where it names no model."""
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        return cls(
            name=spec.name,
            version=spec.version.value if choice == "version" else None,
            label=spec.version_label if choice == "version_label" else None,
        )
