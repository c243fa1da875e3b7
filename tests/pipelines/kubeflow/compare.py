"""Whether a release in an object store is the one that a run on this machine has made."""

import json

from components.push.mirror import open_registry
from components.push.registry import Registry

# The config holds the paths of the data: a bucket's there, a folder's here.
OF_THE_PLACE = ("config.json",)


def differences(place: str, version: int, local: Registry) -> dict[str, object]:
    """What differs of a release there and the same version here, nothing where all is equal: metrics, facts, files."""
    with open_registry(place) as registry:
        registry.fetch(version)
        registry.verify(version)
        there, here = registry.manifest(version), local.manifest(version)
        metrics = [json.loads((each.bundle(version) / "evaluation.json").read_text())["metrics"] for each in (registry, local)]
    facts = [(each.name, each.candidates, each.compared_with) for each in (there, here)]
    files = {
        name
        for name in there.files.keys() | here.files.keys()
        if there.files.get(name) != here.files.get(name) and not name.endswith(OF_THE_PLACE)
    }
    found = {
        "manifest metrics": (there.metrics, here.metrics) if there.metrics != here.metrics else None,
        "metrics": metrics if metrics[0] != metrics[1] else None,
        "facts": facts if facts[0] != facts[1] else None,
        "files": sorted(files),
    }
    return {name: each for name, each in found.items() if each}
