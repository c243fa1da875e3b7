"""The part of TFX that winnow is built on, each name from where TFX defines it.

``tfx.v1`` hands on the same names, but loads the clients of Google's Vertex AI with them: a third of the time that a
process takes to start.
"""

from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

__all__ = [
    "BeamComponentParameter",
    "Channel",
    "InputArtifact",
    "OutputArtifact",
    "Parameter",
    "Pipeline",
    "component",
    "standard_artifacts",
]
