"""Whether a release in an object store is the one that a run on this machine has made: equal, digit by digit.

Nearly all files are compared by their SHA-256. Those that differ between any two runs on one machine too are compared by
what they say.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from components.push.mirror import open_registry
from components.push.registry import Registry, sha256
from components.schema.features import REQUESTS_FOLDER
from components.training.exported import read_examples


def differences(place: str, version: int, local: Registry) -> dict[str, Any]:
    """What differs of a release there and the same version here, nothing where all is equal."""
    with open_registry(place) as registry:
        registry.fetch(version)
        registry.verify(version)
        there, here = registry.manifest(version), local.manifest(version)
        files = {
            name
            for name in there.files.keys() | here.files.keys()
            if there.files.get(name) != here.files.get(name)
            and not equal(said_by(registry.folder / name), said_by(local.folder / name))
        }
    facts = [(each.name, each.candidates, each.compared_with, each.metrics) for each in (there, here)]
    found = {"facts": None if equal(*facts) else facts, "files": sorted(files)}
    return {name: each for name, each in found.items() if each}


def equal(one: Any, other: Any) -> bool:
    """Of numbers that are none too, in whatever they are nested."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str | bytes):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) or (one != one and other != other)


def said_by(path: Path) -> Any:
    """What a file of a release says, apart from what differs from run to run."""
    for part, read in READERS.items():
        if part in str(path):
            return read(path)
    return sha256(path) if path.exists() else None


def _config(path: Path) -> dict[str, Any]:
    """All but the paths of the data: there they count from a bucket, here from the root."""
    config = json.loads(path.read_text())
    for table in ("events", "items", "users"):
        if config["dataset"][table]:
            config["dataset"][table]["path"] = Path(config["dataset"][table]["path"]).name
    return config


def _evaluation(path: Path) -> dict[str, Any]:
    """All but the sentences, which have numbers in them that are compared as such."""
    judged = json.loads(path.read_text())
    for check in judged["verdict"]["checks"]:
        check.pop("sentence")
    return judged


def _index_facts(path: Path) -> dict[str, Any]:
    return {name: value for name, value in json.loads(path.read_text()).items() if not name.endswith("_ms_per_query")}


def _requests(path: Path) -> list[bytes]:
    """Of all shards, whichever a record lies in; an Example's features are a map, of which any order is as good."""
    return sorted(
        tf.train.Example.FromString(each).SerializeToString(deterministic=True) for each in read_examples(path.parent)
    )


def _variables(path: Path) -> dict[str, np.ndarray]:
    """Each variable's values; not the graph of Python objects that the checkpoint has beside them."""
    reader = tf.train.load_checkpoint(str(path.parent / "variables"))
    names = sorted(reader.get_variable_to_shape_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"})
    return {name: np.asarray(reader.get_tensor(name)) for name in names}


def _signatures(path: Path) -> dict[str, Any]:
    """What the model takes and gives, by signature."""
    model = saved_model_pb2.SavedModel.FromString((path.parent / "saved_model.pb").read_bytes())

    def tensors(infos: Any) -> dict[str, Any]:
        return {name: (info.dtype, [each.size for each in info.tensor_shape.dim]) for name, info in infos.items()}

    return {
        name: (tensors(signature.inputs), tensors(signature.outputs))
        for name, signature in model.meta_graphs[0].signature_def.items()
    }


READERS: dict[str, Callable[[Path], Any]] = {
    "/config.json": _config,
    "/evaluation.json": _evaluation,
    "/index/index.json": _index_facts,
    f"/{REQUESTS_FOLDER}/": _requests,
    "/variables/variables.": _variables,
    "/saved_model.pb": _signatures,
    "/fingerprint.pb": _signatures,  # a digest of the graph with its numbered names
}
