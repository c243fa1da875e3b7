"""The exported models, asked with serialized samples: vectors, scores, predictions."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.training.untuned import untuned

AT_ONCE = 1_024


def read_examples(folder: Path, count: int | None = None) -> list[bytes]:
    """Serialized samples of a split's folder, the first ``count`` of them spread over its files."""
    files = sorted(str(path) for path in folder.glob("*.gz"))
    dataset = untuned(tf.data.Dataset.from_tensor_slices(files)).interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP"),
        cycle_length=max(1, len(files)),
        block_length=1,
    )
    return list((dataset if count is None else dataset.take(count)).as_numpy_iterator())


class Towers:
    """The SavedModel of RetrievalTrainer: vectors of requests and of the catalogue."""

    def __init__(self, model: Path) -> None:
        saved = tf.saved_model.load(str(model))
        self._saved = saved  # its variables live as long as it does
        self._embed = saved.signatures["embed_examples"]
        self.item_vectors: NDArray[np.float32] = saved.vectors.numpy()[:-1]
        self.item_ids = [item.decode() for item in saved.item_ids.numpy()]

    def embed(self, examples: list[bytes]) -> NDArray[np.float32]:
        """float32 [n, dim]; the request of each sample."""
        blocks = [
            self._embed(examples=tf.constant(examples[start : start + AT_ONCE]))["embedding"].numpy()
            for start in range(0, len(examples), AT_ONCE)
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.item_vectors.shape[1]), np.float32)


class Ranker:
    """The SavedModel of RankingTrainer: scores of candidates."""

    def __init__(self, model: Path) -> None:
        self._saved = tf.saved_model.load(str(model))
        self._rank = self._saved.signatures["rank_examples"]
        self._evaluate = self._saved.signatures["evaluate"]

    def scores(self, examples: list[bytes], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """float32 [n, m]; the combined score of each sample's candidates, int32 [n, m]."""
        blocks = [
            self._rank(
                examples=tf.constant(examples[start : start + AT_ONCE]), rows=tf.constant(rows[start : start + AT_ONCE])
            )["score"].numpy()
            for start in range(0, len(examples), AT_ONCE)
        ]
        return np.concatenate(blocks) if blocks else np.zeros(rows.shape, np.float32)

    def predictions(self, examples: list[bytes]) -> dict[str, NDArray[np.float32]]:
        """Each task's prediction of the samples' own items, float32 [n]."""
        blocks = [self._evaluate(examples=tf.constant(examples[i : i + AT_ONCE])) for i in range(0, len(examples), AT_ONCE)]
        return {task: np.concatenate([block[task].numpy()[:, 0] for block in blocks]) for task in blocks[0]} if blocks else {}
