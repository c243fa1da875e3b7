"""What can be set of the gateway; every key has a default."""

from typing import Self

from pydantic import Field, NonNegativeInt, model_validator

from components.config.settings import Settings
from serving.gateway.limits import Limits
from serving.gateway.recall import SOURCES, WITHOUT_MODELS
from serving.gateway.rerank.settings import RerankSettings


class Budgets(Settings):
    """Milliseconds that a stage may take, inside the request's deadline."""

    state: float = Field(default=30, gt=0)
    query_tower: float = Field(default=35, gt=0)
    ranker: float = Field(default=80, gt=0)


class GatewaySettings(Settings):
    deadline_ms: float = Field(default=100, gt=0, description="after which a list is sent with what has been found")
    budgets_ms: Budgets = Budgets()
    limits: Limits = Limits()
    quotas: dict[str, NonNegativeInt] = Field(
        default={"two_tower": 220, "similar_items": 40, "segment": 20, "trending": 20, "popular": 20, "fresh": 10},
        description="how many candidates each source may bring before the others have brought theirs",
    )
    rerank: RerankSettings = RerankSettings()

    @model_validator(mode="after")
    def _sources_exist(self) -> Self:
        if unknown := sorted(set(self.quotas) - set(SOURCES)):
            raise ValueError(f"quotas: unknown sources {unknown}; wanted some of: {', '.join(SOURCES)}")
        if not WITHOUT_MODELS & set(self.quotas):
            raise ValueError(
                f"quotas: found {', '.join(self.quotas) or 'none'}, of which a new visitor may get nothing when the models "
                f"are gone; wanted one of {', '.join(sorted(WITHOUT_MODELS))} too"
            )
        return self
