"""What can be set of the gateway; every key has a default."""

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Annotated, Self

from pydantic import AfterValidator, Field, NonNegativeInt, model_validator

from components.config import DatasetConfig
from components.config.settings import Settings
from serving.gateway.limits import Limits
from serving.gateway.recall import SOURCES, WITHOUT_MODELS
from serving.gateway.rerank.settings import RerankSettings

MAX_VARIANTS = 64
BEFORE_MS = 3.0  # of the deadline, for what comes before the first stage
MARGIN_MS = 12.0  # of it, for what follows the last one, on a machine where others compute at the same time


def _usable(quotas: dict[str, int]) -> dict[str, int]:
    if unknown := sorted(set(quotas) - set(SOURCES)):
        raise ValueError(f"unknown sources {unknown}; wanted some of: {', '.join(SOURCES)}")
    if not WITHOUT_MODELS & set(quotas):
        raise ValueError(
            f"found {', '.join(quotas) or 'none'}, of which a new visitor may get nothing when the models "
            f"are gone; wanted one of {', '.join(sorted(WITHOUT_MODELS))} too"
        )
    return quotas


Quotas = Annotated[dict[str, NonNegativeInt], AfterValidator(_usable)]


class Budgets(Settings):
    """Milliseconds that a stage may take, inside the request's deadline."""

    state: float = Field(default=30, gt=0)
    query_tower: float = Field(default=35, gt=0)
    ranker: float = Field(default=80, gt=0)


class Arm(Settings):
    """What users of one arm get instead of the settings outside; an arm that says nothing changes nothing."""

    share: float = Field(default=1.0, gt=0, description="of the users, relative to the other arms")
    quotas: Quotas | None = None
    rerank: RerankSettings | None = None

    @property
    def changes(self) -> dict[str, object]:
        return {name: value for name in ("quotas", "rerank") if (value := getattr(self, name)) is not None}


class GatewaySettings(Settings):
    deadline_ms: float = Field(default=100, gt=0, description="after which a list is sent with what has been found")
    budgets_ms: Budgets = Budgets()
    limits: Limits = Limits()
    quotas: Quotas = Field(
        default={
            "two_tower": 180,
            "item_to_item": 60,
            "similar_items": 20,
            "segment": 20,
            "trending": 20,
            "popular": 20,
            "fresh": 10,
        },
        description="how many candidates each source may bring before the others have brought theirs",
    )
    rerank: RerankSettings = RerankSettings()

    experiments: dict[str, dict[str, Arm]] = Field(
        default={}, description="experiment → its arms; users are assigned by their id"
    )

    @property
    def state_budget_ms(self) -> float:
        """What the store may take: its budget, or what a short deadline leaves, as it is asked only while all of it is left."""
        return max(1.0, min(self.budgets_ms.state, self.deadline_ms - BEFORE_MS - MARGIN_MS))

    def with_arms(self, arms: Mapping[str, str]) -> Self:
        """The settings of a user who is in these arms: experiment → arm."""
        changes = {key: value for name, arm in arms.items() for key, value in self.experiments[name][arm].changes.items()}
        return self.model_copy(update=changes)

    def check(self, dataset: DatasetConfig) -> None:
        """Whether a data set has the tasks and the item features that are named here.

        Raises:
          ConfigError: it lacks one, or a feature's kind does not fit.
        """
        self.rerank.check(dataset, "rerank")
        for name, arms in self.experiments.items():
            for arm, each in arms.items():
                if each.rerank is not None:
                    each.rerank.check(dataset, f"experiments.{name}.{arm}.rerank")

    @model_validator(mode="after")
    def _experiments_can_be_told_apart(self) -> Self:
        for name, arms in self.experiments.items():
            if len(arms) < 2:
                raise ValueError(f"experiments.{name}: found {len(arms)} arms, wanted at least two")
        changed = Counter(
            key for arms in self.experiments.values() for key in {key for arm in arms.values() for key in arm.changes}
        )
        if shared := sorted(key for key, count in changed.items() if count > 1):
            raise ValueError(
                f"experiments: several change {' and '.join(shared)}; wanted one experiment, with an arm for each choice"
            )
        if (count := prod(len(arms) for arms in self.experiments.values())) > MAX_VARIANTS:
            raise ValueError(f"experiments: their arms can be combined in {count} ways, wanted at most {MAX_VARIANTS}")
        return self
