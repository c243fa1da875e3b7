"""TFX adapters of the push, and of the look-up of the release before, since resolver nodes do not run on Kubeflow."""

import json
import shutil
from pathlib import Path
from typing import TypedDict

from tfx.components.evaluator import constants

from components.config import parse_config
from components.push.last_release import comparable_release, made_from
from components.push.mirror import open_registry
from components.schema import tfx_api as tfx
from components.schema.artifact_types import (
    Catalogue,
    EventLog,
    FeatureSnapshot,
    FunnelEvaluation,
    ItemIndex,
    ItemNeighbours,
    Release,
    ReleaseCheck,
)
from components.schema.events import read_sources

EVALUATION_FILE, CHECK_FILE, RELEASE_FILE = "evaluation.json", "check.json", "release.json"


@tfx.component
def Pusher(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    fingerprint: tfx.Parameter[str],
    registry: tfx.Parameter[str],
    last_version: tfx.Parameter[int],
    catalogue: tfx.InputArtifact[Catalogue],
    features: tfx.InputArtifact[FeatureSnapshot],
    retrieval: tfx.InputArtifact[tfx.standard_artifacts.Model],
    ranking: tfx.InputArtifact[tfx.standard_artifacts.Model],
    index: tfx.InputArtifact[ItemIndex],
    item_to_item: tfx.InputArtifact[ItemNeighbours],
    blessing: tfx.InputArtifact[tfx.standard_artifacts.ModelBlessing],
    evaluation: tfx.InputArtifact[FunnelEvaluation],
    check: tfx.InputArtifact[ReleaseCheck],
    release: tfx.OutputArtifact[Release],
) -> None:
    """Publish the release if every gate agrees; else write down why not.

    Args:
      fingerprint: of the sources and settings; a later run from the same is not judged against this release.
      registry: folder or URI of the releases; last_version: the one that this one was judged against, 0 for none.
    """
    judged = json.loads((Path(evaluation.uri) / EVALUATION_FILE).read_text())
    checked = json.loads((Path(check.uri) / CHECK_FILE).read_text())
    reasons = [each["sentence"] for each in judged["verdict"]["checks"] if not each["passed"]]
    if not (Path(blessing.uri) / constants.BLESSED_FILE_NAME).exists():
        reasons.append("TFMA: the ranker misses a threshold on the test split, or is worse than the last release's.")
    if not checked["passed"]:
        reasons.append(f"A real server did not answer from these models: {checked['reason']}")
    version = path = None
    if not reasons:
        settings = parse_config(config, origin="Pusher")
        with open_registry(registry) as releases:
            version = releases.publish(
                settings.name,
                models={
                    "retrieval": Path(retrieval.uri) / "Format-Serving",
                    "ranker": Path(ranking.uri) / "Format-Serving",
                },
                parts={
                    "index": Path(index.uri),
                    "item_to_item": Path(item_to_item.uri),
                    "catalogue": Path(catalogue.uri),
                    "features": Path(features.uri),
                },
                documents={"config.json": config, EVALUATION_FILE: json.dumps(judged, indent=1)},
                candidates=settings.ranking.candidates,
                fingerprint=fingerprint,
                compared_with=last_version,
                metrics=judged["metrics"]["funnel"],
                pushed_by=release.uri,  # no other attempt than one at this very execution has it
            )
            path = releases.place(version)
    folder = Path(release.uri)
    folder.mkdir(parents=True, exist_ok=True)
    outcome = {
        "pushed": version is not None,
        "version": version,
        "path": path,
        "reasons": reasons,
    }
    (folder / RELEASE_FILE).write_text(json.dumps(outcome, indent=1))
    release.set_int_custom_property("pushed", int(version is not None))
    release.set_int_custom_property("version", version or 0)


class Found(TypedDict):
    """What is found out before a run: which release to judge it against, and what it is made from."""

    version: int
    fingerprint: str


@tfx.component
def LastRelease(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    registry: tfx.Parameter[str],
    known: tfx.Parameter[str],
    event_log: tfx.InputArtifact[EventLog],
) -> Found:
    """Find the release to judge this run against, 0 for none, and the fingerprint of what this run is made from.

    Args:
      config: all of the pipeline's settings as JSON.
      registry: folder or URI of the releases.
      known: the version, where it was known before the run; a change makes the cached result stale.
    """
    del known
    fingerprint = made_from(read_sources(Path(event_log.uri)), config)
    with open_registry(registry) as releases:
        version = comparable_release(parse_config(config, origin="LastRelease"), releases, fingerprint)
    return {"version": version, "fingerprint": fingerprint}


@tfx.component
def Baseline(  # noqa: N802  a component is named like a class
    registry: tfx.Parameter[str],
    version: tfx.Parameter[int],
    candidate: tfx.InputArtifact[tfx.standard_artifacts.Model],
    model: tfx.OutputArtifact[tfx.standard_artifacts.Model],
) -> None:
    """The last release's ranker, for TFMA to compare with.

    Args:
      registry: folder or URI of the releases.
      version: 0 before the first release; the candidate is then compared with itself.
    """
    target = Path(model.uri) / "Format-Serving"
    if not version:
        shutil.copytree(Path(candidate.uri) / "Format-Serving", target)
        return
    with open_registry(registry) as releases:
        releases.fetch(version, f"models/ranker/{version}/")
        shutil.copytree(releases.model("ranker", version), target)
