"""Start a real model server on the release candidate and ask it, before anything is published.

TFX's own InfraValidator needs Docker or Kubernetes and does not compile for Kubeflow Pipelines 2.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from components.config import parse_config
from components.errors import ServingError
from components.schema import samples as names
from components.schema import tfx_api as tfx
from components.schema.artifact_types import FeatureSnapshot, ReleaseCheck
from components.schema.features import REQUESTS_FOLDER, SnapshotFacts
from components.schema.request import request_inputs
from components.training.exported import read_examples
from components.training.signature import EXCLUDED
from serving.inference import ModelClient
from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer
from serving.rest import rest_predict

REQUESTS = 3
VERSION = "1"


@tfx.component
def InfraValidator(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    features: tfx.InputArtifact[FeatureSnapshot],
    retrieval: tfx.InputArtifact[tfx.standard_artifacts.Model],
    ranking: tfx.InputArtifact[tfx.standard_artifacts.Model],
    check: tfx.OutputArtifact[ReleaseCheck],
) -> None:
    """Serve both models in a process of its own and query them over REST and gRPC with real users' requests."""
    settings = parse_config(config, origin="InfraValidator")
    facts = SnapshotFacts.load(Path(features.uri))
    samples = read_examples(Path(features.uri) / REQUESTS_FOLDER, REQUESTS)
    inputs = [request_inputs(sample, settings, facts.types) for sample in samples]
    requests: list[dict[str, Any]] = []
    reason = ""
    with tempfile.TemporaryDirectory() as scratch:
        models = []
        for name, artifact in (("retrieval", retrieval), ("ranker", ranking)):
            base = Path(scratch) / name
            base.mkdir()
            (base / VERSION).symlink_to(Path(artifact.uri).resolve() / "Format-Serving")
            models.append(ModelConfig(name, base))
        try:
            with EmbeddedServer(models) as server, ModelClient(server.grpc_target) as client:
                for each in inputs:
                    requests += _ask(server, client, each)
        except (ServingError, OSError, ValueError) as error:
            reason = str(error)
    failed = [f"{each['name']}: {each['detail']}" for each in requests if not each["ok"]]
    reason = reason or "; ".join(failed) or ("" if requests else "there was no user to ask for")
    folder = Path(check.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "check.json").write_text(json.dumps({"passed": not reason, "requests": requests, "reason": reason}, indent=1))
    check.set_int_custom_property("passed", int(not reason))


def _ask(server: EmbeddedServer, client: ModelClient, inputs: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """One user's requests: the whole funnel, recall alone, and ranking of what recall returned."""
    asked = []

    def note(name: str, started: float, problem: str, detail: str) -> None:
        latency_ms = (time.perf_counter() - started) * 1000
        asked.append({"name": name, "ok": not problem, "detail": problem or detail, "latency_ms": latency_ms})

    last = inputs[names.HISTORY_ITEM][0][:1]

    def recommended(model: str) -> list[str]:
        started = time.perf_counter()
        listed = rest_predict(server.rest_url, model, {**inputs, EXCLUDED: [last]}, "recommend")["item_id"][0]
        items = [item for item in listed if item]  # the list may be longer than there are items left
        note(f"REST {model} recommend", started, _list_problem(items, last), f"{len(items)} items")
        return items

    recommended("ranker")
    recalled = recommended("retrieval")
    started = time.perf_counter()
    arrays = {name: _array(values) for name, values in inputs.items()}
    scores = client.predict("ranker", {**arrays, names.ITEM_ID: _array([recalled])})["score"]
    finite = bool(np.isfinite(scores).all())
    problem = "" if finite and scores.shape == (1, len(recalled)) else f"scores of shape {scores.shape}, finite: {finite}"
    note("gRPC ranker predict", started, problem, f"{scores.size} scores")
    return asked


def _list_problem(items: list[str], excluded: list[str]) -> str:
    if not items:
        return "an empty list"
    if set(excluded) & set(items):
        return "a list with an item that was to be left out"
    return "" if len(set(items)) == len(items) else "a list with an item twice"


def _array(values: list[Any]) -> np.ndarray:
    """Texts as objects, floats as float32, integers as int64: what the signatures take."""
    made = np.array(values)
    if made.dtype.kind == "U":
        return made.astype(object)
    return made.astype(np.float32) if made.dtype.kind == "f" else made
