"""What a replica must know of the others, where one batch is spread over several (``tf.distribute``).

Each replica computes its share of the loss of the whole batch: shares add up to the loss, and their gradients to its gradient,
whatever the number of replicas. Outside of a replica, and with only one, these functions give back what they got.
"""

import tensorflow as tf


def total(value: tf.Tensor) -> tf.Tensor:
    """The sum over all replicas."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)


def rows_of_all(value: tf.Tensor) -> tf.Tensor:
    """[replicas · n, …] from [n, …]: the rows of all replicas, this one's first; gradients find their way back."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    own = replica.replica_id_in_sync_group * tf.shape(value)[0]
    return tf.roll(replica.all_gather(tf.identity(value), axis=0), shift=-own, axis=0)


def copies(variable: tf.Variable) -> tuple[tf.Variable, ...]:
    """A variable's copy on each device of this process, which is what a traced function knows of it."""
    return variable.values if isinstance(variable, tf.distribute.DistributedValues) else (variable,)
