"""Build both images with buildah, and look into them: who they run as, what they can import, what they must not hold.

Where no registry of images can be reached, ``--stand-in`` makes the bases from Debian's packages first: Debian 12, which has
Python 3.11, with the C runtime of Debian 13. Then everything but the published base images themselves is shown. Needs root
and the packages buildah and, for the stand-in, debootstrap.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE, BUILD_BASE = "localhost/winnow-base", "localhost/winnow-build-base"
ARCHIVE = "http://deb.debian.org/debian"
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
ABSENT = "tfx apache-beam tensorflow-transform tf-keras pip"

# Each image's last lines: run inside it as its own user, where the root file system cannot be written by that user.
CHECKS = {
    "serving": f"""
import importlib.metadata as metadata, os
import serving.gateway.command_line, serving.log_writer.command_line, serving.model_server.server
names = {{each.name.lower().replace("_", "-") for each in metadata.distributions()}}
assert not names & set("{ABSENT}".split()), names
""",
    "pipeline": """
import os
import pipelines.cli, components.config, scann, tensorflow_recommenders, tfx.v1, apache_beam
""",
}
ALL = """
assert (os.getuid(), os.getgid()) == (10001, 10001), (os.getuid(), os.getgid())
for folder, wanted in (("/var/winnow", True), ("/tmp", True), ("/opt/winnow", False), ("/etc", False), ("/", False)):
    assert os.access(folder, os.W_OK) == wanted, folder
assert os.getcwd() == "/var/winnow"
assert not [name for name in os.environ if "KEY" in name or "PASSWORD" in name or "TOKEN" in name]
print("as it should be")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stand-in", action="store_true", help="make the base images from Debian's packages")
    parser.add_argument("--only", choices=CHECKS, help="one of the images")
    flags = parser.parse_args()
    needed = ["buildah", *(["debootstrap"] if flags.stand_in else [])]
    if missing := [tool for tool in needed if not shutil.which(tool)]:
        print(f"{' and '.join(missing)} not found: on Debian, apt-get install {' '.join(missing)}", file=sys.stderr)
        return 1
    arguments = []
    if flags.stand_in:
        with tempfile.TemporaryDirectory(prefix="winnow-base-") as scratch:
            make_bases(Path(scratch))
        arguments = [f"--build-arg=BASE={BASE}", f"--build-arg=BUILD_BASE={BUILD_BASE}"]
    for name in [flags.only] if flags.only else CHECKS:
        tag = f"localhost/winnow-{name}:check"
        file = f"infra/docker/{name}.Dockerfile"
        run("buildah", "bud", "--format=docker", *arguments, f"--file={file}", f"--tag={tag}", ".")
        container = said("buildah", "from", tag)
        try:
            print(f"{tag}: ", end="", flush=True)
            run("buildah", "run", container, "--", "python", "-c", CHECKS[name] + ALL)
        finally:
            run("buildah", "rm", container, quiet=True)
    return 0


def make_bases(scratch: Path) -> None:
    """Two images: Python 3.11 on glibc 2.41, and the same with a C++ compiler."""
    root = scratch / "root"
    run("debootstrap", "--variant=minbase", "bookworm", str(root), ARCHIVE)
    for file in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copy(file, root / file[1:])
    inside(root, "apt-get install python3.11 python3.11-venv ca-certificates")
    (root / "etc/apt/sources.list.d/runtime.list").write_text(f"deb {ARCHIVE} trixie main\n")
    (root / "etc/apt/preferences.d/runtime").write_text("Package: *\nPin: release n=trixie\nPin-Priority: 100\n")
    inside(root, "apt-get update")
    inside(root, "apt-get install -t trixie libc6 libstdc++6 libgcc-s1")
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3.11")
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")  # this machine's, behind whatever proxy it stands
    if certificates.exists():
        shutil.copy(certificates, root / certificates.relative_to("/"))
        (root / "etc/pip.conf").write_text(f"[global]\ncert = {certificates}\ntimeout = 180\n")
    commit(root, BASE)
    inside(root, "apt-get install -t trixie libc6-dev libcrypt-dev")
    inside(root, "apt-get install g++ libpython3.11-dev")
    commit(root, BUILD_BASE)


def inside(root: Path, command: str) -> None:
    apt, verb, *rest = command.split()
    options = ["-qq", "-y", "-o=APT::Sandbox::User=root", "--no-install-recommends"]
    run("chroot", str(root), "/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", apt, verb, *options, *rest)


def commit(root: Path, tag: str) -> None:
    container = said("buildah", "from", "scratch")
    run("buildah", "add", "-q", container, str(root), "/", quiet=True)
    run("buildah", "config", "--env", f"PATH={PATH}", container)
    run("buildah", "commit", "-q", "--rm", container, tag, quiet=True)


def run(*command: str, quiet: bool = False) -> None:
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL if quiet else None)


def said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
