"""Rankers and task heads to choose from: each has settings of its own, so that a config holds only what its model reads.

``ranking.model: din`` takes DIN with its defaults, ``ranking.model: {name: din, attention_hidden: [64]}`` changes one.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, PositiveInt

from components.config.settings import Settings

Widths = tuple[PositiveInt, ...]


class MfSettings(Settings):
    """Matrix factorisation."""

    name: Literal["mf"] = "mf"


class DeepSettings(Settings):
    """What every model with dense layers has."""

    hidden: Widths = Field(default=(128, 64), description="widths of the dense layers")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="after each of them")


class NeuMfSettings(DeepSettings):
    """Neural matrix factorisation."""

    name: Literal["neumf"] = "neumf"


class WideDeepSettings(DeepSettings):
    """Wide & Deep."""

    name: Literal["wide_deep"] = "wide_deep"
    cross_buckets: int = Field(
        default=1 << 18, ge=1, description="weights that the pairs of a history's item and a candidate are hashed to"
    )


class DeepFmSettings(DeepSettings):
    """DeepFM."""

    name: Literal["deepfm"] = "deepfm"


class DlrmSettings(DeepSettings):
    """Deep learning recommendation model; ``hidden`` is its top network."""

    name: Literal["dlrm"] = "dlrm"
    bottom_hidden: Widths = Field(default=(32,), description="dense layers that the numbers go through first")


class DcnV2Settings(DeepSettings):
    """Deep & Cross Network v2."""

    name: Literal["dcn_v2"] = "dcn_v2"
    cross_layers: int = Field(default=2, ge=1, le=8)
    cross_rank: PositiveInt | None = Field(default=64, description="of the cross layers' matrices; null: full matrices")


class DcnV2MixSettings(DeepSettings):
    """Deep & Cross Network v2 with a mixture of low-rank experts."""

    name: Literal["dcn_v2_mix"] = "dcn_v2_mix"
    cross_layers: int = Field(default=2, ge=1, le=8)
    cross_rank: PositiveInt = Field(default=32, description="of each expert's matrices")
    experts: PositiveInt = Field(default=4, le=64)


class DinSettings(DeepSettings):
    """Deep interest network."""

    name: Literal["din"] = "din"
    attention_hidden: Widths = Field(default=(36,), min_length=1, description="dense layers of the local activation unit")
    activation: Literal["dice", "prelu"] = Field(default="dice", description="of the local activation unit")


class DienSettings(DeepSettings):
    """Deep interest evolution network."""

    name: Literal["dien"] = "dien"
    interest_dim: int = Field(default=32, ge=2, le=1024, description="of an interest: the states of both recurrent layers")
    auxiliary_weight: float = Field(default=1.0, ge=0, description="of the loss of predicting the next item of the history")


class BstSettings(DeepSettings):
    """Behaviour sequence transformer."""

    name: Literal["bst"] = "bst"
    blocks: int = Field(default=1, ge=1, le=8, description="transformer blocks")
    attention_heads: int = Field(default=2, ge=1, le=32)
    head_dim: int = Field(default=16, ge=1, le=256, description="width of each attention head")


class SingleHeadSettings(Settings):
    """One dense layer gives all tasks' logits."""

    name: Literal["single"] = "single"


class SharedBottomSettings(Settings):
    """Shared dense layers, then a tower for each task."""

    name: Literal["shared_bottom"] = "shared_bottom"
    hidden: Widths = Field(default=(64,), description="dense layers that the tasks share")
    tower_hidden: Widths = Field(default=(32,), description="dense layers of each task")


class MmoeSettings(Settings):
    """Multi-gate mixture of experts."""

    name: Literal["mmoe"] = "mmoe"
    experts: PositiveInt = Field(default=4, le=64)
    hidden: Widths = Field(default=(64,), min_length=1, description="dense layers of each expert")
    tower_hidden: Widths = Field(default=(32,), description="dense layers of each task")


class PleSettings(Settings):
    """Progressive layered extraction; with one level, customised gate control."""

    name: Literal["ple"] = "ple"
    levels: int = Field(default=2, ge=1, le=8)
    shared_experts: PositiveInt = Field(default=2, le=64)
    task_experts: PositiveInt = Field(default=2, le=64, description="of each task")
    hidden: Widths = Field(default=(64,), min_length=1, description="dense layers of each expert")
    tower_hidden: Widths = Field(default=(32,), description="dense layers of each task")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


RankerSettings = Annotated[
    MfSettings
    | NeuMfSettings
    | WideDeepSettings
    | DeepFmSettings
    | DlrmSettings
    | DcnV2Settings
    | DcnV2MixSettings
    | DinSettings
    | DienSettings
    | BstSettings,
    Field(discriminator="name"),
    BeforeValidator(_named),
]
RANKERS: tuple[str, ...] = tuple(each.model_fields["name"].default for each in get_args(get_args(RankerSettings)[0]))
HeadsSettings = Annotated[
    SingleHeadSettings | SharedBottomSettings | MmoeSettings | PleSettings, Field(discriminator="name"), BeforeValidator(_named)
]
