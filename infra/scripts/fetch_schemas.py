"""Fetch what manifests are held against and what is not ours to keep: schemas of operators' kinds, and of compose files.

They come from the registries of Go modules and of Maven by the versions below, with ``go`` and ``mvn``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

GO_FILES = {
    "github.com/kserve/kserve@v0.15.2": ["config/crd/full/serving.kserve.io_inferenceservices.yaml"],
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml" for kind in ("servicemonitors", "prometheusrules")
    ],
    "github.com/compose-spec/compose-go/v2@v2.9.1": ["schema/compose-spec.json"],
}
FLINK = "org.apache.flink:flink-kubernetes-operator-api:1.10.0"
FLINK_FILE = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where they are put")
    folder: Path = parser.parse_args().folder
    if missing := [tool for tool in ("go", "mvn") if not shutil.which(tool)]:
        print(f"{' and '.join(missing)} not found: install Go and Maven to fetch the schemas", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for module, files in GO_FILES.items():
        done = subprocess.run(["go", "mod", "download", "-json", module], stdout=subprocess.PIPE, text=True, check=True)
        source = Path(json.loads(done.stdout)["Dir"])
        for file in files:
            (folder / Path(file).name).write_bytes((source / file).read_bytes())
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["mvn", "-q", "-B", COPY, f"-Dartifact={FLINK}", f"-DoutputDirectory={scratch}"], check=True)
        [jar] = Path(scratch).glob("*.jar")
        with zipfile.ZipFile(jar) as archive:
            (folder / "flinkdeployments.yaml").write_bytes(archive.read(FLINK_FILE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
