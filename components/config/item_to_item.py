"""Ways to say which items go with which, to choose from as ``item_to_item: {kind: ease, l2: 500}``."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from components.config.settings import Settings


class Neighbourhood(Settings):
    """What both ways have in common."""

    neighbours: PositiveInt = Field(default=200, description="kept of each item")
    history: PositiveInt = Field(default=5, description="the user's most recent items, whose neighbours are added up")
    max_user_items: PositiveInt = Field(
        default=500,
        description="of a user with more items only the latest so many count: the pairs of a user grow with their square",
    )


class CosineSettings(Neighbourhood):
    """Cosine of co-occurrence, shrunk."""

    kind: Literal["cosine"] = "cosine"
    shrinkage: float = Field(default=10.0, ge=0, description="keeps a few chance meetings from looking like a bond")


class EaseSettings(Neighbourhood):
    """EASE: the linear model of each item by all others, solved at once; for catalogues that fit memory."""

    kind: Literal["ease"] = "ease"
    l2: float = Field(default=2_000.0, gt=0, description="the penalty on squared weights")
    max_items: int = Field(
        default=20_000,
        ge=1,
        le=46_000,  # LAPACK counts the cells of a matrix in 32 bits
        description="with training events; more are refused: one matrix takes 8 bytes × items², 3.2 GB here",
    )


ItemToItemSettings = Annotated[CosineSettings | EaseSettings, Field(discriminator="kind")]
