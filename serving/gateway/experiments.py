"""Experiments while serving: a funnel for each choice of arms, and each user's own choice."""

from itertools import product

from components.experiments.assignment import assigned
from components.features.request import Inputs
from serving.gateway.api import RecommendReply, RecommendRequest
from serving.gateway.funnel import Funnel
from serving.gateway.release import Release
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.state_store import StateStore


class Funnels:
    """All funnels over one release; made anew when another takes its place.

    Attributes:
      release: with every item, also those that the settings let nobody see.
      usual: for whoever takes part in no experiment: visitors without an id, who could not be held to one arm.
    """

    def __init__(self, release: Release, models: ModelClient, store: StateStore, settings: GatewaySettings) -> None:
        self.release, self.store = release, store
        self.usual = Funnel(release, models, store, settings)
        experiments = settings.experiments
        self._shares = {name: {arm: each.share for arm, each in arms.items()} for name, arms in experiments.items()}
        self._of_arms = {
            tuple(arms.values()): Funnel(release, models, store, settings.with_arms(arms), arms)
            for arms in (dict(zip(experiments, each, strict=True)) for each in product(*experiments.values()))
        }

    def warm_up(self) -> None:
        """
        Raises:
          InferenceError: a model does not answer.
        """
        for funnel in (self.usual, *self._of_arms.values()):
            funnel.warm_up()

    def recommend(self, request: RecommendRequest, now_ms: int) -> tuple[RecommendReply, Inputs]:
        """See ``Funnel.recommend``."""
        return self._funnel(request.user_id).recommend(request, now_ms)

    def _funnel(self, user_id: str | None) -> Funnel:
        if user_id is None or not self._shares:
            return self.usual
        return self._of_arms[tuple(assigned(name, user_id, shares) for name, shares in self._shares.items())]
