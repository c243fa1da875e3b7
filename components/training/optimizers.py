"""How weights are stepped: by Adam, or by a kind of it whose cost does not grow with the embedding tables."""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras as keras

from components.config.pipeline import TrainingConfig

EMBEDDINGS = "embeddings"  # the last part of a variable's name in each Keras embedding layer, and nowhere else


class RowwiseAdam(keras.optimizers.legacy.Adam):
    """Adam that steps only those rows of an embedding table that a batch has read, with one second moment for each row.

    For each such row r, with the gradient g_r of d numbers: m_r ← β1 m_r + (1 − β1) g_r; v_r ← β2 v_r + (1 − β2) Σ g_r² / d;
    w_r ← w_r − α_t m_r / (√v_r + ε), α_t = α √(1 − β2^t) / (1 − β1^t). Everything else is stepped as by Adam (Kingma, Ba 2015,
    section 2), which lets the moments of all rows fade with each batch, whatever it has read, and keeps 2 d of them a row where
    this keeps d + 1. Row-wise AdaGrad has one second moment a row too (Mudigere et al. 2022, Software-Hardware Co-design for
    Fast and Scalable Training of Deep Learning Recommendation Models).
    """

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        for variable in var_list:
            self.add_slot(variable, "m")
        for variable in var_list:
            self.add_slot(variable, "v", shape=[variable.shape[0], 1] if _is_table(variable) else variable.shape)

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: Mapping | None = None
    ) -> tf.Operation:
        """Args: grad: float32 [n, d]; indices: [n], each once."""
        if not _is_table(var):
            return super()._resource_apply_sparse(grad, var, indices, apply_state)
        known = (apply_state or {}).get((var.device, var.dtype.base_dtype)) or self._fallback_apply_state(
            var.device, var.dtype.base_dtype
        )
        first, second = self.get_slot(var, "m"), self.get_slot(var, "v")
        square = tf.reduce_mean(tf.square(grad), axis=1, keepdims=True)
        m = known["beta_1_t"] * tf.gather(first, indices) + known["one_minus_beta_1_t"] * grad
        v = known["beta_2_t"] * tf.gather(second, indices) + known["one_minus_beta_2_t"] * square
        step = known["lr"] * m / (tf.sqrt(v) + known["epsilon"])
        return tf.group(
            first.scatter_update(tf.IndexedSlices(m, indices)),
            second.scatter_update(tf.IndexedSlices(v, indices)),
            var.scatter_sub(tf.IndexedSlices(step, indices)),
        )

    def _resource_apply_dense(self, grad: tf.Tensor, var: tf.Variable, apply_state: Mapping | None = None) -> tf.Operation:
        if not _is_table(var):
            return super()._resource_apply_dense(grad, var, apply_state)
        return self._resource_apply_sparse(grad, var, tf.range(tf.shape(grad)[0]), apply_state)


OPTIMIZERS: Mapping[str, type[keras.optimizers.legacy.Optimizer]] = {
    "adam": keras.optimizers.legacy.Adam,
    "rowwise_adam": RowwiseAdam,
}


def optimizer_of(settings: TrainingConfig) -> keras.optimizers.legacy.Optimizer:
    return OPTIMIZERS[settings.optimizer](settings.learning_rate)


def _is_table(variable: tf.Variable) -> bool:
    name = str(variable.name).partition("/replica_")[0]  # the copies on other devices are named after the first one
    return name.rpartition("/")[-1].partition(":")[0] == EMBEDDINGS
