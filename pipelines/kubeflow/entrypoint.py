"""What runs in each node's container: TFX's entrypoint, between cures for where it and open-source Kubeflow disagree.

TFX's own was written for Vertex AI. Each function below cures one disagreement, in the message that the launcher hands over
(an ``ExecutorInput``, as JSON) or in the one that it takes back (an ``ExecutorOutput``); none changes TFX.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from components.errors import causes, raised_in_worker
from pipelines.kubeflow.parameters import OVERRIDES, RUN_PARAMETERS, SPAN, overridden, patch_of
from pipelines.kubeflow.staging import staging

Message = dict[str, Any]
INVOCATION, INPUTS_SPEC, EXECUTOR = "json_serialized_invocation_args", "json_serialized_inputs_spec_args", "executor_class_path"
FOLDERS = {"s3": "s3", "minio": "minio", "gs": "gcs"}  # of a scheme, where the launcher keeps its copies
ROOT_ENV = "WINNOW_LAUNCHER_ROOT"  # those folders lie at the root of a pod's file system; elsewhere only outside of a pod
OWN_TYPES, OWN_MODULE = "winnow.", "components.schema.artifact_types."
logger = logging.getLogger("winnow.entrypoint")


def without_system_artifacts(executor_input: Message) -> Message:
    """The launcher asks for ``executor-logs``, which it writes itself and whose type TFX cannot import."""
    changed = deepcopy(executor_input)
    for artifacts in _artifact_maps(changed):
        for key in [key for key, each in artifacts.items() if _is_system(each)]:
            del artifacts[key]
    return changed


def with_declared_types(executor_input: Message, inputs_spec: Message) -> Message:
    """The backend gives inputs back without their type; their declaration, which is among the arguments, has it."""
    changed = deepcopy(executor_input)
    declared = inputs_spec.get("artifacts", {})
    for key, each in changed.get("inputs", {}).get("artifacts", {}).items():
        for artifact in each.get("artifacts", []):
            if not any(artifact.get("type", {}).values()):
                artifact["type"] = deepcopy(declared[key]["artifactType"])
    return changed


def with_importable_types(executor_input: Message) -> Message:
    """TFX imports a type that is not its own by its stored name, which for ours is not where the class is."""
    changed = deepcopy(executor_input)
    for artifacts in _artifact_maps(changed):
        for each in artifacts.values():
            for artifact in each.get("artifacts", []):
                title = _title(artifact.get("type", {}))
                if title.startswith(OWN_TYPES):
                    artifact["type"] = {"schemaTitle": OWN_MODULE + title.removeprefix(OWN_TYPES)}
    return changed


def with_local_paths(executor_input: Message, root: Path) -> Message:
    """TFX writes to an artifact's URI; the launcher uploads from, and has downloaded to, a folder that stands for it."""
    changed = deepcopy(executor_input)
    for artifacts in _artifact_maps(changed):
        for each in artifacts.values():
            for artifact in each.get("artifacts", []):
                artifact["uri"] = local_path(artifact["uri"], root)
    return changed


def with_output_file(executor_input: Message, path: Path) -> Message:
    """TFX writes what it tells the launcher to this file, and Beam's temporary files beside it."""
    changed = deepcopy(executor_input)
    changed["outputs"]["outputFile"] = str(path)
    return changed


def with_run_parameters(executor_input: Message, inputs_spec: Message, node: str) -> Message:
    """The run's parameters taken out, and into the config that the node gets; defaults are not in the launcher's message."""
    changed = deepcopy(executor_input)
    values = changed.get("inputs", {}).get("parameterValues", {})
    declared = inputs_spec.get("parameters", {})
    given = {name: values.pop(name, declared.get(name, {}).get("defaultValue", "")) for name in RUN_PARAMETERS}
    patch = patch_of(given[OVERRIDES], given[SPAN])
    if patch:
        changed["inputs"]["parameterValues"] = overridden(values, patch, node)
    return changed


def with_store_uris(executor_output: Message, root: Path) -> Message:
    """The URIs that the launcher knows, in place of the folders that stand for them."""
    changed = deepcopy(executor_output)
    for each in changed.get("artifacts", {}).values():
        for artifact in each.get("artifacts", []):
            artifact["uri"] = store_uri(artifact["uri"], root)
    return changed


def without_nulls(executor_output: Message) -> Message:
    """The launcher refuses metadata without a value."""
    changed = deepcopy(executor_output)
    for each in changed.get("artifacts", {}).values():
        for artifact in each.get("artifacts", []):
            metadata = artifact.get("metadata", {})
            artifact["metadata"] = {key: value for key, value in metadata.items() if value is not None}
    return changed


def local_path(uri: str, root: Path) -> str:
    """The launcher's folder of ``s3://bucket/key``; what is no such URI as it is."""
    scheme, separator, path = uri.partition("://")
    return str(root / FOLDERS[scheme] / path) if separator and scheme in FOLDERS else uri


def store_uri(path: str, root: Path) -> str:
    """The other way round."""
    for scheme, folder in FOLDERS.items():
        prefix = f"{root / folder}/"
        if path.startswith(prefix):
            return f"{scheme}://{path.removeprefix(prefix)}"
    return path


def main(argv: Sequence[str]) -> int:
    """The exit status; a failure that is ours is told in one message, which the run's page shows last."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        _run(argv, Path(os.environ.get(ROOT_ENV, "/")))
    except Exception as error:
        ours = next(filter(None, map(raised_in_worker, causes(error))), None)
        if ours is None:
            raise
        logger.exception("the node has failed")
        print(f"winnow: {ours}", file=sys.stderr, flush=True)
        return ours.exit_code
    return 0


def _run(argv: Sequence[str], root: Path) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in (EXECUTOR, INVOCATION, INPUTS_SPEC):
        parser.add_argument(f"--{name}", required=True)
    arguments, beam_args = parser.parse_known_args(argv)
    inputs_spec = json.loads(getattr(arguments, INPUTS_SPEC))
    node = getattr(arguments, EXECUTOR).rpartition(".")[2].removesuffix("_Executor")

    message = json.loads(getattr(arguments, INVOCATION))
    message = without_system_artifacts(message)
    message = with_declared_types(message, inputs_spec)
    message = with_importable_types(message)
    message = with_run_parameters(message, inputs_spec, node)
    output_file = Path(message["outputs"]["outputFile"])
    with staging() as stage:
        at = stage.root or root
        if stage.root is not None:
            message = with_output_file(message, stage.root / output_file.name)
        for path in _local_paths(message["inputs"], root):
            stage.copied_in(path, root)
        setattr(arguments, INVOCATION, json.dumps(with_local_paths(message, at)))

        # TFX and TensorFlow take 10 s or more to import: not before the message is known to be right.
        from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

        from pipelines.equal_batches import read_in_equal_batches

        read_in_equal_batches()
        kubeflow_v2_run_executor.main((arguments, beam_args))
        output = json.loads(Path(message["outputs"]["outputFile"]).read_text())
        output = with_store_uris(output, at)
        for path in _local_paths(message["outputs"], root):
            stage.copied_out(path, root)
    output = without_nulls(output)
    output_file.parent.mkdir(parents=True, exist_ok=True)
    partial = output_file.with_name(f".{output_file.name}.partial")
    partial.write_text(json.dumps(output))
    partial.replace(output_file)


def _artifact_maps(executor_input: Message) -> list[dict[str, Any]]:
    return [executor_input.get(side, {}).get("artifacts", {}) for side in ("inputs", "outputs")]


def _local_paths(side: Message, root: Path) -> list[Path]:
    """The launcher's folders of the artifacts of one side of an executor's input."""
    uris = [each["uri"] for artifacts in side.get("artifacts", {}).values() for each in artifacts.get("artifacts", [])]
    return [Path(path) for uri in uris if (path := local_path(uri, root)) != uri]


def _is_system(artifacts: Mapping[str, Any]) -> bool:
    return any(_title(each.get("type", {})).startswith("system.") for each in artifacts.get("artifacts", []))


def _title(kind: Mapping[str, str]) -> str:
    """Of an ArtifactTypeSchema: its title, or the one in its instance schema, a small YAML document."""
    if kind.get("schemaTitle"):
        return kind["schemaTitle"]
    for line in kind.get("instanceSchema", "").splitlines():
        if line.startswith("title:"):
            return line.removeprefix("title:").strip()
    return ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
