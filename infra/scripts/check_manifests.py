"""Hold the Kubernetes manifests against the Kubernetes schemas, and against what this project asks of every pod.

Each overlay is built with kustomize, or with the one inside kubectl, whichever is found; without either the sources are
looked at as they stand. Kinds of operators are held against their own schemas where ``--schemas`` has them: ``make
check-manifests`` fetches those.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

K8S = Path(__file__).resolve().parents[1] / "k8s"
KUBERNETES = "1.33.0"
OWN_SCHEMA = re.compile(r"(apps|autoscaling|batch|policy|[a-z.]+\.k8s\.io)/v\d+|v1")  # what Kubernetes itself defines
SECRET_NAME = re.compile(r"KEY|PASSWORD|SECRET|TOKEN|CREDENTIAL")
# Why a rule is not kept; nothing else may break one.
WRITES_ITS_ROOT = {"flink-main-container"}  # Flink's entrypoint writes its configuration into its own folder
TALKS_TO_THE_API = {"winnow-flink"}  # the job manager starts its task managers
Document = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=Path, help="folder of CustomResourceDefinitions")
    flags = parser.parse_args(arguments)
    crds = custom_schemas(flags.schemas) if flags.schemas else {}
    problems, unknown, count = [], set(), 0
    for origin, document in manifests():
        count += 1
        where = f"{origin}: {document['kind']}/{document['metadata']['name']}"
        if OWN_SCHEMA.fullmatch(document["apiVersion"]):
            problems += [f"{where}: {problem}" for problem in against_kubernetes(document)]
        elif schema := crds.get((document["apiVersion"], document["kind"])):
            problems += [f"{where}: {problem}" for problem in against(schema, document)]
        else:
            unknown.add(document["kind"])
        problems += [f"{where}: {problem}" for problem in against_policy(document)]
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    note = f"; no schema here for {', '.join(sorted(unknown))} (`make check-manifests` fetches them)" if unknown else ""
    print(f"{count} manifests, {len(problems)} problems{note}")
    return 1 if problems else 0


def manifests() -> Iterator[tuple[str, Document]]:
    """Every document, with where it comes from."""
    builder = kustomize()
    if builder is None:
        print("Neither kustomize nor kubectl is installed: overlays are not built, their sources are checked as they stand.")
        for path in sorted(K8S.rglob("*.yaml")):
            for document in yaml.safe_load_all(path.read_text()):
                if isinstance(document, dict) and document.get("kind") not in (None, "Kustomization", "Component"):
                    yield str(path.relative_to(K8S)), document
        return
    for overlay in sorted(path.parent for path in K8S.glob("overlays/*/kustomization.yaml")):
        for document in built(builder, overlay):
            yield f"overlays/{overlay.name}", document


def kustomize() -> list[str] | None:
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            return command
    return None


def built(builder: list[str], overlay: Path) -> list[Document]:
    done = subprocess.run([*builder, str(overlay)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(builder)} {overlay} failed:\n{done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


def against_kubernetes(document: Document) -> list[str]:
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path)) or 'the document'}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"Kubernetes {KUBERNETES} has no {document['kind']} of {document['apiVersion']}"]
    return []


def custom_schemas(folder: Path) -> dict[tuple[str, str], Document]:
    """The schema of each kind of each version; a key that it does not name is refused, where the API server would drop it."""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text()):
            for version in crd["spec"]["versions"]:
                name = (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
                found[name] = closed(version["schema"]["openAPIV3Schema"])
                found[name].setdefault("properties", {}).update(metadata={}, apiVersion={}, kind={})
    return found


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    result = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    return result


def against(schema: Document, document: Document) -> list[str]:
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


def against_policy(document: Document) -> list[str]:
    """What this project asks, of a document and of every pod that comes of it."""
    kind = document["kind"]
    problems = []
    if kind == "Secret":
        problems.append("a Secret stands in the repository; wanted one that is made in the cluster (infra/k8s/README.md)")
    if kind.startswith("ClusterRole"):
        problems.append("a right in the whole cluster; wanted a Role")
    for rule in document.get("rules", ()) if kind == "Role" else ():
        if any("*" in rule.get(key, ()) for key in ("apiGroups", "resources", "verbs")):
            problems.append(f"a right to everything: {rule}; wanted what is needed by name")
    for pod in pods(document):
        problems += of_pod(pod)
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            problems += [f"container {container['name']}: {problem}" for problem in of_container(container)]
    return problems


def pods(document: Document) -> Iterator[Document]:
    """The pod specs that come of a document."""
    spec = document.get("spec", {})
    match document["kind"]:
        case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
            yield spec["template"]["spec"]
        case "CronJob":
            yield spec["jobTemplate"]["spec"]["template"]["spec"]
        case "InferenceService":
            yield from (spec[part] for part in ("predictor", "transformer", "explainer") if part in spec)
        case "FlinkDeployment":  # the operator lays the templates over each other, and fills the main container in
            common = spec["podTemplate"]["spec"]
            for part in ("jobManager", "taskManager"):
                size = spec[part]["resource"]
                own = spec[part].get("podTemplate", {}).get("spec", {})
                filled = {"image": spec["image"], "resources": {"requests": size, "limits": size}}
                containers = [{**filled, **each} for each in common["containers"]] + own.get("containers", [])
                yield {"serviceAccountName": spec.get("serviceAccount"), **common, **own, "containers": containers}


def of_pod(pod: Document) -> Iterator[str]:
    security = pod.get("securityContext", {})
    user = security.get("runAsUser")
    if security.get("runAsNonRoot") is not True or not isinstance(user, int) or user == 0:
        yield f"runs as user {user}; wanted securityContext.runAsNonRoot and a number above 0 in runAsUser"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "wanted securityContext.seccompProfile.type RuntimeDefault"
    account = pod.get("serviceAccountName")
    if account in (None, "default"):
        yield f"has the service account {account}; wanted one of its own"
    if pod.get("automountServiceAccountToken") is not False and account not in TALKS_TO_THE_API:
        yield "is given a token of the API server; wanted automountServiceAccountToken: false"
    yield from (f"shares {key} with its node" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key))
    yield from (f"volume {each['name']} is a folder of its node" for each in pod.get("volumes", ()) if "hostPath" in each)


def of_container(container: Document) -> Iterator[str]:
    image = container["image"]
    tag = image.rpartition("/")[2].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        yield f"image {image} is not pinned; wanted a tag other than latest, or a digest"
    for bound in ("requests", "limits"):
        missing = {"cpu", "memory"} - set(container.get("resources", {}).get(bound, ()))
        if missing:
            yield f"resources.{bound} names no {' and no '.join(sorted(missing))}"
    security = container.get("securityContext", {})
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield "may gain rights; wanted securityContext.allowPrivilegeEscalation: false, and no privileged"
    capabilities = security.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield f"has the capabilities {capabilities}; wanted drop: [ALL]"
    if security.get("readOnlyRootFilesystem") is not True and container["name"] not in WRITES_ITS_ROOT:
        yield "writes to its root file system; wanted securityContext.readOnlyRootFilesystem: true"
    for variable in container.get("env", ()):
        if SECRET_NAME.search(variable["name"]) and not variable["name"].endswith("_FILE") and "value" in variable:
            yield f"{variable['name']} holds a secret in clear; wanted a file or a secretKeyRef"


if __name__ == "__main__":
    sys.exit(main())
