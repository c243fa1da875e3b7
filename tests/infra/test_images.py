"""What can be said of the images without building them; `make images` builds them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "infra" / "docker"
IMAGES = ("pipeline", "serving")


@pytest.fixture(params=IMAGES)
def dockerfile(request: pytest.FixtureRequest) -> str:
    return (DOCKER / f"{request.param}.Dockerfile").read_text()


def test_the_base_is_pinned_and_is_of_the_projects_python(dockerfile: str) -> None:
    bases = dict(re.findall(r"^ARG (\w*BASE)=(\S+)$", dockerfile, re.MULTILINE))
    assert all(re.fullmatch(r"python:3\.11\.\d+-(slim-)?trixie", base) for base in bases.values())  # trixie: glibc 2.41
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", dockerfile, re.MULTILINE))
    for image in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        assert image in stages or image.removeprefix("${").removesuffix("}") in bases


def test_it_ends_as_a_user_without_rights(dockerfile: str) -> None:
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)$", last_stage, re.MULTILINE) == ["10001:10001"]
    assert "useradd --no-log-init --uid 10001" in last_stage


def test_the_last_stage_installs_nothing(dockerfile: str) -> None:
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert not re.search(r"pip |apt-get|curl|wget", last_stage)


def test_the_serving_image_takes_its_lock_and_no_pipeline() -> None:
    text = (DOCKER / "serving.Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    assert copied == ["infra/requirements/serving.lock", "components", "serving"]


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in IMAGES:
        text = (DOCKER / f"{name}.Dockerfile").read_text()
        for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
            for path in copied.split():
                assert (ROOT / path).exists()
                assert path in allowed or str(Path(path).parent / "*.lock") in allowed
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed; `make check-manifests` fetches it")
    done = subprocess.run([hadolint, *map(str, DOCKER.glob("*.Dockerfile"))], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
