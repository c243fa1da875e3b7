"""The two towers as one trainable model."""

from collections.abc import Mapping
from typing import Protocol

import tensorflow as tf
import tensorflow_recommenders as tfrs

from components.models.draws import drawing
from components.models.features import Features
from components.models.losses import Loss
from components.models.pairs import Pairs
from components.models.towers import ItemTower


class QueryTower(Protocol):
    def __call__(self, features: Features, training: bool = False) -> tf.Tensor:
        """Vectors of requests, float32 [batch, dim]."""
        ...

    def training_pairs(self, inputs: Features) -> Pairs:
        """What is learnt from a batch of samples."""
        ...


class TwoTower(tfrs.Model):
    """A query tower and an item tower, brought together by a loss.

    Args:
      seed: of what training draws.
      exclude_seen: what a user has had is not recommended, and so nothing that the next item is told from.
    """

    def __init__(
        self, query_tower: QueryTower, item_tower: ItemTower, loss: Loss, seed: int = 0, exclude_seen: bool = True
    ) -> None:
        super().__init__()
        self.query_tower, self.item_tower = query_tower, item_tower
        self._loss, self._seed, self._exclude_seen = loss, seed, exclude_seen

    def train_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with drawing(self._seed, self.optimizer.iterations):
            return super().train_step(inputs)

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The mean loss of a batch; where it is spread over replicas, this one's share of it.

        Args:
          inputs: a request's features, ``item_row`` int32 [batch] and ``weight`` float32 [batch].
        """
        pairs = self.query_tower.training_pairs(inputs)
        return self._loss(pairs if self._exclude_seen else pairs._replace(excluded=pairs.excluded[:, :0]))
