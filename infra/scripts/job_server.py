"""Beam's job server for Flink or Spark on this machine, with a small cluster inside it: fetch it once, then run it.

    python infra/scripts/job_server.py flink --port 8099

Maven fetches it into var/job-servers; Java 11 or 17 runs it, till it is interrupted. It listens on this machine only.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "var" / "job-servers"
MAIN = {
    "flink": ("org.apache.beam.runners.flink.FlinkJobServerDriver", "--flink-master=[local]"),
    "spark": ("org.apache.beam.runners.spark.SparkJobServerDriver", "--spark-master-url=local[2]"),
}
# What Flink and Spark reach into, and Java 17 keeps shut otherwise.
OPENED = (
    "java.lang", "java.lang.invoke", "java.net", "java.nio", "java.util", "java.util.concurrent", "sun.nio.ch", "sun.nio.cs",
    "sun.security.action", "sun.util.calendar",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cluster", choices=MAIN)
    parser.add_argument("--port", type=int, default=8099, help="of the job service; 0 takes any that is free")
    parser.add_argument("--memory", default="2g", help="of the Java heap")
    parser.add_argument("--fetch-only", action="store_true", help="do not run it")
    arguments = parser.parse_args()
    libraries = fetched(arguments.cluster)
    if not arguments.fetch_only:
        command = java_command(arguments.cluster, libraries, arguments.port, arguments.memory)
        os.execvp(command[0], command)  # noqa: S606  it takes this process's place, and its signals


def fetched(cluster: str) -> Path:
    """The folder of its libraries, complete."""
    for tool, package in (("java", "default-jre-headless"), ("mvn", "maven")):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is needed for Beam's job server; on Debian or Ubuntu: apt-get install {package}")
    folder = SERVERS / cluster
    if not folder.exists():
        partial = folder.with_name(f".{cluster}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        print(f"fetching the job server of {cluster} (some 250 MB) …", file=sys.stderr)
        pom = ROOT / "infra" / "beam" / cluster / "pom.xml"
        command = [
            "mvn",
            "--quiet",
            "--batch-mode",
            f"--file={pom}",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={partial}",
        ]
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"Maven could not fetch what {pom} names; see above")
        partial.rename(folder)
    return folder


def java_command(cluster: str, libraries: Path, port: int, memory: str) -> list[str]:
    driver, master = MAIN[cluster]
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    return [
        "java", f"-Xmx{memory}", *opened, "-cp", f"{libraries}/*", driver, master, "--job-host=127.0.0.1",
        f"--job-port={port}", "--artifact-port=0", "--expansion-port=0",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
