"""TF Transform's graph, laid open inside the graph of a SavedModel.

``TFTransformOutput.transform_features_layer`` calls it as a function instead. TensorFlow's optimiser does not open that
one, since it looks up tables and names no control outputs: every request then starts an executor of its own for it, in
which nothing is folded or left out.
"""

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft


class TransformGraph(tf.Module):
    """To be called where a graph is traced. Holds the tables, which are saved with what holds it."""

    def __init__(self, transform: tft.TFTransformOutput) -> None:
        super().__init__(name="transform")
        self._loaded = tf.saved_model.load(transform.transform_savedmodel_dir)

    def __call__(self, inputs: Mapping[str, tf.Tensor | tf.SparseTensor]) -> dict[str, tf.Tensor]:
        """What follows from the raw features that are given.

        Args:
          inputs: dense [batch, 1] where a sample has exactly one value, else sparse.
        """
        function = self._loaded.transform_fn
        graph = _without_order(function.graph.as_graph_def())
        fed_count = len(function.inputs) - len(function.captured_inputs)
        arguments, captures = function.inputs[:fed_count], function.inputs[fed_count:]
        spec = function.structured_input_signature[0][0]
        places = tf.nest.pack_sequence_as(spec, arguments, expand_composites=True)
        fed = {
            place.name: part
            for name, given in inputs.items()
            for place, part in zip(_parts(places[name]), _parts(given), strict=True)
        }
        unfed = {place.op.name for place in arguments if place.name not in fed}
        outputs = {
            name: output
            for name, output in zip(sorted(function.structured_outputs), function.outputs, strict=True)
            if not _sources(graph, output.op.name) & unfed
        }
        fed |= {place.name: _inside(value) for place, value in zip(captures, function.captured_inputs, strict=True)}
        needed = tf.compat.v1.graph_util.extract_sub_graph(graph, [output.op.name for output in outputs.values()])
        present = {f"{node.name}:0" for node in needed.node}
        made = tf.graph_util.import_graph_def(
            needed,
            {name: value for name, value in fed.items() if name in present},
            [output.name for output in outputs.values()],
            name="transform",
        )
        for name, value in zip(outputs, made, strict=True):
            value.set_shape(function.structured_outputs[name].shape)
        return dict(zip(outputs, made, strict=True))


def _parts(value: tf.Tensor | tf.SparseTensor) -> list[tf.Tensor]:
    return tf.nest.flatten(value, expand_composites=True)


def _inside(value: tf.Tensor) -> tf.Tensor:
    """A captured tensor in the graph under way: the handle of a table, or a number that is then known when it is optimised."""
    return tf.identity(value) if value.dtype == tf.resource else tf.constant(value.numpy())


def _without_order(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph without what says which node waits for which: all of them only read."""
    for node in graph.node:
        data = [each for each in node.input if not each.startswith("^")]
        del node.input[:]
        node.input.extend(data)
    return graph


def _sources(graph: tf.compat.v1.GraphDef, node: str) -> set[str]:
    """The names of all nodes that ``node`` is made from."""
    inputs = {each.name: each.input for each in graph.node}
    found: set[str] = set()
    waiting = [node]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [each.partition(":")[0] for each in inputs[name]]
    return found
