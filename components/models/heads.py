"""Task heads: how the tasks share what a ranker says of a candidate; float32 [rows, width] → [rows, num_tasks]."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from components.config.rankers import (
    MmoeSettings,
    PleSettings,
    SharedBottomSettings,
    SingleHeadSettings,
)
from components.models.features import dense_stack


class SingleHead(keras.layers.Layer):
    """One dense layer: each task's logit is linear in what the ranker says."""

    def __init__(self, tasks: int, settings: SingleHeadSettings) -> None:
        super().__init__(name=settings.name)
        self._out = keras.layers.Dense(tasks, name="out")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self._out(x)


class SharedBottom(keras.layers.Layer):
    """y_k = h^k(f(x)): one shared network f, a tower h^k for each task (Caruana 1997; Ma et al. 2018, eq. 1)."""

    def __init__(self, tasks: int, settings: SharedBottomSettings) -> None:
        super().__init__(name=settings.name)
        self._shared = dense_stack(settings.hidden, 0.0, "shared")
        self._towers = Towers(tasks, settings.tower_hidden)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        shared = self._shared(x)
        return self._towers([shared] * self._towers.count)


class Mmoe(keras.layers.Layer):
    """Multi-gate mixture of experts (Ma et al. 2018, eq. 6 and 7).

    y_k = h^k(f^k(x)), f^k(x) = Σ_i g^k(x)_i f_i(x), g^k(x) = softmax(W_gk x): experts f_i that all tasks share, a gate
    and a tower for each task.
    """

    def __init__(self, tasks: int, settings: MmoeSettings) -> None:
        super().__init__(name=settings.name)
        self._experts = [dense_stack(settings.hidden, 0.0, f"expert_{place}") for place in range(settings.experts)]
        self._gates = [Gate(settings.experts, name=f"gate_{task}") for task in range(tasks)]
        self._towers = Towers(tasks, settings.tower_hidden)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        experts = [expert(x) for expert in self._experts]
        return self._towers([gate(x, experts) for gate in self._gates])


class Ple(keras.layers.Layer):
    """Progressive layered extraction (Tang et al. 2020, eq. 5 and 6; with one level, CGC: eq. 1 to 4).

    Each task has experts of its own beside the shared ones. At level j, g^{k,j}(x) = w^{k,j}(g^{k,j−1}(x)) S^{k,j}(x): the
    gate of task k, which reads what came for it from the level before, mixes its own experts and the shared ones; between
    levels, a shared gate mixes all experts for the shared ones of the next.
    """

    def __init__(self, tasks: int, settings: PleSettings) -> None:
        super().__init__(name=settings.name)
        self._levels = [
            ExtractionLevel(tasks, settings, last=level == settings.levels - 1, name=f"level_{level}")
            for level in range(settings.levels)
        ]
        self._towers = Towers(tasks, settings.tower_hidden)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        of_tasks, shared = [x] * self._towers.count, x
        for level in self._levels:
            of_tasks, shared = level(of_tasks, shared)
        return self._towers(of_tasks)


class ExtractionLevel(keras.layers.Layer):
    """One level of ``Ple``: (what each task reads, what the shared experts read) → the same for the next level."""

    def __init__(self, tasks: int, settings: PleSettings, last: bool, name: str) -> None:
        super().__init__(name=name)

        def experts(count: int, whose: str) -> list[keras.Sequential]:
            return [dense_stack(settings.hidden, 0.0, f"{whose}_expert_{place}") for place in range(count)]

        self._own = [experts(settings.task_experts, f"task_{task}") for task in range(tasks)]
        self._shared = experts(settings.shared_experts, "shared")
        self._gates = [Gate(settings.task_experts + settings.shared_experts, name=f"gate_{task}") for task in range(tasks)]
        every = tasks * settings.task_experts + settings.shared_experts
        self._shared_gate = None if last else Gate(every, name="shared_gate")

    def call(self, of_tasks: list[tf.Tensor], shared: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        own = [[expert(x) for expert in experts] for x, experts in zip(of_tasks, self._own, strict=True)]
        common = [expert(shared) for expert in self._shared]
        made = [gate(x, [*mine, *common]) for gate, x, mine in zip(self._gates, of_tasks, own, strict=True)]
        if self._shared_gate is None:
            return made, shared
        return made, self._shared_gate(shared, [*(expert for mine in own for expert in mine), *common])


class Gate(keras.layers.Layer):
    """Σ_i softmax(W x)_i f_i of [..., width] and experts' outputs f_i [..., expert's width]."""

    def __init__(self, experts: int, name: str) -> None:
        super().__init__(name=name)
        self._weights = keras.layers.Dense(experts, activation="softmax", use_bias=False, name="weights")

    def call(self, x: tf.Tensor, experts: list[tf.Tensor]) -> tf.Tensor:
        return tf.einsum("...e,...ed->...d", self._weights(x), tf.stack(experts, axis=-2))


class Towers(keras.layers.Layer):
    """A network for each task, from what it reads to its logit; [rows, num_tasks]."""

    def __init__(self, count: int, hidden: tuple[int, ...]) -> None:
        super().__init__(name="towers")
        self.count = count
        self._towers = [
            keras.Sequential([dense_stack(hidden, 0.0, "hidden"), keras.layers.Dense(1, name="out")], name=f"tower_{task}")
            for task in range(count)
        ]

    def call(self, of_tasks: list[tf.Tensor]) -> tf.Tensor:
        return tf.concat([tower(x) for tower, x in zip(self._towers, of_tasks, strict=True)], axis=-1)


HEADS: Mapping[str, Callable[[int, Any], keras.layers.Layer]] = {
    "single": SingleHead,
    "shared_bottom": SharedBottom,
    "mmoe": Mmoe,
    "ple": Ple,
}
