"""The wire of single items: what clients send and get at ``/v1/items``."""

from typing import Annotated

from pydantic import Field

from serving.gateway.api import Id, Moment, Name, Value, Wire

Text = Annotated[str, Field(max_length=10_000)]
Number = Annotated[Value, Field(strict=True)]


class ItemBody(Wire):
    """An item as a whole: a feature that is not given is unknown."""

    title: str | None = Field(default=None, min_length=1, max_length=1_024, description="by default, the id")
    created_ms: Moment | None = Field(default=None, description="ms UTC; by default, now")
    features: dict[Name, Number | Text | list[Id] | None] = Field(
        default={},
        max_length=256,
        description="by the kinds of dataset.items.features: a string, up to 100 strings, a number, or for a timestamp ms UTC",
    )


class ItemReply(Wire):
    """``ranked``: whether the release's ranker knows the item; one that it does not know borrows its predictions."""

    item_id: str
    release: int
    ranked: bool


class SimilarItem(Wire):
    """``score``: the dot product of the two items' vectors."""

    rank: int
    item_id: str
    title: str
    score: float


class SimilarReply(Wire):
    release: int
    items: list[SimilarItem]
