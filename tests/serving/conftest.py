"""Tiny SavedModels whose answers can be worked out by hand, and a real server process that serves them."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.inference import ModelClient
from serving.model_server.model_config import AllVersions, ModelConfig
from serving.model_server.process import EmbeddedServer


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SavedModels: affine_1, affine_2, affine_3, features, kinds, ragged, scalar, blocking, judge, half,
    rows, gated, tower.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    import tensorflow as tf

    root = tmp_path_factory.mktemp("saved_models")
    for factor in (1, 2, 3):
        _save(tf, root / f"affine_{factor}", _affine(tf, factor))
    _save(tf, root / "features", _features(tf, tmp_path_factory.mktemp("vocabulary") / "items.txt"))
    _save(tf, root / "kinds", _kinds(tf))
    _save(tf, root / "ragged", _ragged(tf))
    _save(tf, root / "scalar", _scalar(tf))
    _save(tf, root / "blocking", _blocking(tf))
    _save(tf, root / "judge", _judge(tf))
    _save(tf, root / "rows", _rows(tf))
    _save(tf, root / "gated", _gated(tf))
    _save(tf, root / "tower", _tower(tf))
    _save_half_plus_two(tf, root / "half")
    return root


@pytest.fixture(scope="session")
def server(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One server for all tests that only ask: affine has versions 1 and 2, and label ``canary`` for 1."""
    root = tmp_path_factory.mktemp("served")
    _publish(saved_models / "affine_1", root / "affine", 1)
    _publish(saved_models / "affine_2", root / "affine", 2)
    models = [ModelConfig("affine", root / "affine", AllVersions(), {"canary": 1})]
    for name in ("features", "kinds", "ragged", "scalar", "judge", "half"):
        _publish(saved_models / name, root / name, 7)
        models.append(ModelConfig(name, root / name))
    with EmbeddedServer(models) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: EmbeddedServer) -> Iterator[ModelClient]:
    with ModelClient(server.grpc_target) as connected:
        yield connected


@pytest.fixture(scope="session")
def publish() -> Callable[[Path, Path, int], Path]:
    return _publish


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    return _eventually


def _publish(saved_model: Path, base_path: Path, version: int) -> Path:
    """Put a copy of a SavedModel under a base path as a version, in one step, as a careful publisher does."""
    base_path.mkdir(exist_ok=True)
    scratch = base_path.parent / f"{base_path.name}-{version}-incoming"
    shutil.copytree(saved_model, scratch)
    return scratch.rename(base_path / str(version))


def _eventually(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"within {timeout_s:g} s there was no {what}"


def _save(tf: Any, folder: Path, module: Any) -> None:
    tf.saved_model.save(module, str(folder), signatures=module.signatures())


def _tower(tf: Any) -> Any:
    """An item tower of the seven items' release: (price, 1); an item with the id "refused" is refused."""
    texts, lists = ("item_id", "genre", "colour"), ("tags", "words")
    inputs = {name: tf.TensorSpec([None], tf.string, name=name) for name in texts}
    inputs |= {name: tf.TensorSpec([None, None], tf.string, name=name) for name in lists}
    inputs |= {name: tf.TensorSpec([None], tf.float32, name=name) for name in ("price", "since")}

    class Tower(tf.Module):
        @tf.function(input_signature=[inputs])
        def item(self, values: Any) -> Any:
            with tf.control_dependencies([tf.debugging.assert_none_equal(values["item_id"], "refused")]):
                price = tf.identity(values["price"])
            return {"embedding": tf.stack([price, tf.ones_like(price)], axis=1)}

        def signatures(self) -> dict[str, Any]:
            return {"item": self.item}

    return Tower()


def _affine(tf: Any, factor: int) -> Any:
    """y = factor * x + 1; a second signature gives x back under two names."""

    class Affine(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(float(factor))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def affine(self, x: Any) -> Any:
            return {"y": self.factor * x + 1.0}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def twice(self, x: Any) -> Any:
            return {"a": tf.identity(x), "b": -x}

        def signatures(self) -> dict[str, Any]:
            return {"serving_default": self.affine, "twice": self.twice}

    return Affine()


def _features(tf: Any, vocabulary: Path) -> Any:
    """Item ids looked up in a vocabulary file (a=0, b=1, c=2, unknown=3), and the mean index of each row of history."""
    vocabulary.write_text("a\nb\nc\n", encoding="utf-8")

    class Features(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            initializer = tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticVocabularyTable(initializer, num_oov_buckets=1)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, name="item"),
                tf.TensorSpec([None, None], tf.string, name="history"),
                tf.TensorSpec([None], tf.int64, name="age"),
                tf.TensorSpec([None], tf.float32, name="weight"),
            ]
        )
        def serve(self, item: Any, history: Any, age: Any, weight: Any) -> Any:
            mean = tf.reduce_mean(tf.cast(self.table.lookup(history), tf.float32), axis=1)
            return {
                "index": self.table.lookup(item),
                "score": mean * weight + tf.cast(age, tf.float32),
                "item_bytes": tf.identity(item),
                "label": tf.strings.join(["item ", item]),
            }

        def signatures(self) -> dict[str, Any]:
            return {"serving_default": self.serve}

    return Features()


def _kinds(tf: Any) -> Any:
    """Gives back one value of each type."""
    types = ("bool", "string", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "half")
    types = (*types, "bfloat16", "float32", "float64", "complex64", "complex128")

    class Kinds(tf.Module):
        def signatures(self) -> dict[str, Any]:
            return {name: self._echo(name) for name in types}

        def _echo(self, name: str) -> Any:
            @tf.function(input_signature=[tf.TensorSpec(None, tf.dtypes.as_dtype(name), name="value")])
            def echo(value: Any) -> Any:
                return {"out": tf.identity(value)}

            return echo

    return Kinds()


def _ragged(tf: Any) -> Any:
    """Sums the values of each row, given as values and row lengths; the two outputs have different first dimensions."""

    class Ragged(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.float32, name="values"),
                tf.TensorSpec([None], tf.int64, name="row_lengths"),
            ]
        )
        def serve(self, values: Any, row_lengths: Any) -> Any:
            rows = tf.RaggedTensor.from_row_lengths(values, row_lengths)
            return {"sums": tf.reduce_sum(rows, axis=1), "doubled": values * 2.0}

        def signatures(self) -> dict[str, Any]:
            return {"serving_default": self.serve}

    return Ragged()


def _scalar(tf: Any) -> Any:
    """The sum of all values: an output without a batch dimension."""

    class Scalar(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            return {"total": tf.reduce_sum(x)}

        def signatures(self) -> dict[str, Any]:
            return {"serving_default": self.serve}

    return Scalar()


def _blocking(tf: Any) -> Any:
    """Writes the file ``started``, then answers 1 once someone reads from the named pipe ``gate``.

    So a request takes as long as a test wants.
    """

    class Blocking(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="started"), tf.TensorSpec([], tf.string, name="gate")])
        def serve(self, started: Any, gate: Any) -> Any:
            with tf.control_dependencies([tf.io.write_file(started, "")]):
                opened = tf.io.write_file(gate, "through")
            with tf.control_dependencies([opened]):
                return {"answer": tf.constant(1)}

        def signatures(self) -> dict[str, Any]:
            return {"serving_default": self.serve}

    return Blocking()


def _judge(tf: Any) -> Any:
    """Classifiers and regressors of Examples with the feature ``x`` (0 if absent) and the names ``names``.

    ``classify`` gives the labels low and high with the scores -x and x, ``scores`` and ``classes`` one of the two each,
    ``regress`` x + 2 and ``regress_column`` the same as a column. The rest are wrong, each in its own way.
    """
    examples = tf.TensorSpec([None], tf.string, name="inputs")
    labels = ["low", "high"]

    class Judge(tf.Module):
        def _x(self, serialized: Any) -> Any:
            spec = {"x": tf.io.FixedLenFeature([], tf.float32, default_value=0.0)}
            return tf.io.parse_example(serialized, spec)["x"]

        def _signature(self, outputs: Any) -> Any:
            @tf.function(input_signature=[examples])
            def serve(inputs: Any) -> Any:
                x = self._x(inputs)
                return outputs(x, tf.tile([labels], [tf.size(x), 1]), tf.stack([-x, x], axis=1))

            return serve

        def _names(self) -> Any:
            @tf.function(input_signature=[examples])
            def serve(inputs: Any) -> Any:
                spec = {"names": tf.io.VarLenFeature(tf.string), "ages": tf.io.VarLenFeature(tf.int64)}
                parsed = tf.io.parse_example(inputs, spec)
                names = tf.sparse.to_dense(parsed["names"], default_value="none")
                ages = tf.strings.as_string(tf.sparse.to_dense(parsed["ages"], default_value=0))
                return {"classes": tf.concat([names, ages], axis=1)}

            return serve

        def _apart(self) -> Any:
            @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
            def serve(examples: Any) -> Any:
                return {"outputs": self._x(examples)}

            return serve

        def signatures(self) -> dict[str, Any]:
            signatures = {
                "serving_default": lambda x, classes, scores: {"classes": classes, "scores": scores},
                "scores": lambda x, classes, scores: {"scores": scores},
                "classes": lambda x, classes, scores: {"classes": classes},
                "regress": lambda x, classes, scores: {"outputs": x + 2.0},
                "regress_column": lambda x, classes, scores: {"outputs": x[:, tf.newaxis] + 2.0},
                "flat_scores": lambda x, classes, scores: {"scores": x},
                "int_scores": lambda x, classes, scores: {"scores": tf.cast(scores, tf.int64)},
                "first_scores": lambda x, classes, scores: {"scores": scores[:1]},
                "narrow_scores": lambda x, classes, scores: {"classes": classes, "scores": scores[:, :1]},
                "wide_outputs": lambda x, classes, scores: {"outputs": scores},
                "int_outputs": lambda x, classes, scores: {"outputs": tf.cast(x, tf.int64)},
                "first_outputs": lambda x, classes, scores: {"outputs": x[:1]},
                "other_output": lambda x, classes, scores: {"logits": scores},
                "three_outputs": lambda x, classes, scores: {"classes": classes, "scores": scores, "outputs": x},
            }
            made = {name: self._signature(outputs) for name, outputs in signatures.items()}
            return {**made, "names": self._names(), "other_input": self._apart()}

    return Judge()


def _rows(tf: Any) -> Any:
    """For each row of x: the number of rows and of columns that the model was given, and the sum of the row."""

    class Rows(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            count = tf.shape(x)[0]
            return {
                "rows": tf.fill([count], count),
                "columns": tf.fill([count], tf.shape(x)[1]),
                "sum": tf.reduce_sum(x, axis=1),
            }

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def total(self, x: Any) -> Any:
            return {"total": tf.reduce_sum(x)}

        def signatures(self) -> dict[str, Any]:
            return {"serving_default": self.serve, "total": self.total}

    return Rows()


def _gated(tf: Any) -> Any:
    """Gives x back once someone reads from the named pipe ``gate``, of which the first row counts; at once without one."""

    class Gated(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([None], tf.string, name="gate")]
        )
        def serve(self, x: Any, gate: Any) -> Any:
            path = gate[0]
            opened = tf.cond(
                tf.strings.length(path) > 0,
                lambda: tf.group(tf.io.write_file(path, "through")),
                lambda: tf.no_op(),
            )
            with tf.control_dependencies([opened]):
                return {"y": tf.identity(x)}

        def signatures(self) -> dict[str, Any]:
            return {"serving_default": self.serve}

    return Gated()


def _save_half_plus_two(tf: Any, folder: Path) -> None:
    """x / 2 + 2 as TensorFlow 1 saves it: a regressor and a classifier that share the tensor of Examples."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="tf_example")
        x = tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
        examples, y = v1.saved_model.build_tensor_info(serialized), v1.saved_model.build_tensor_info(x * 0.5 + 2.0)
        make = v1.saved_model.build_signature_def
        signatures = {
            "regress_x_to_y": make({"inputs": examples}, {"outputs": y}, "tensorflow/serving/regress"),
            "classify_x_to_y": make({"inputs": examples}, {"scores": y}, "tensorflow/serving/classify"),
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
