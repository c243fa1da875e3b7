import numpy as np
import tensorflow as tf

from components.config.rankers import DlrmSettings
from components.models.rankers.dlrm import Dlrm, dot_products
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts


def test_numbers_join_the_embeddings_and_lead_to_the_top(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    """top([z, <v_i, v_j> of all pairs of embeddings and z]), z = bottom(numbers) (Naumov et al. 2019, section 2.1)."""
    batch = Batch(RankerInputs(parts, 4), parts.counters, requests, tf.constant([[0, 2], [1, 2], [2, 0]]))
    layer = Dlrm(parts, 4, DlrmSettings(bottom_hidden=(5,), hidden=(3,)))
    made = layer(batch)
    for request in range(3):
        for place in range(2):
            number = layer._bottom(batch.numbers[request : request + 1, place])[0].numpy()
            fields = [*batch.request_fields[request].numpy(), *batch.item_fields[request, place].numpy(), number]
            pairs = [fields[i] @ fields[j] for i in range(len(fields)) for j in range(i)]
            top = layer._top(np.concatenate([number, pairs]).astype(np.float32)[np.newaxis])[0]
            np.testing.assert_allclose(made[request, place], top, rtol=1e-4, atol=1e-6)


def test_each_pair_has_its_dot_product() -> None:
    # Pairs (1, 0), (2, 0), (2, 1) of (1, 2), (3, 4), (5, −6): 11, −7, −9.
    fields = tf.constant([[[[1.0, 2.0], [3.0, 4.0], [5.0, -6.0]]]])
    np.testing.assert_allclose(dot_products(fields), [[[11.0, -7.0, -9.0]]])
