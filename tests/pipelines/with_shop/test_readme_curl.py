"""The README's curl lines, run by curl as they stand there, with the shop's names in the place of MovieLens'."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.push.registry import Registry
from components.schema.catalogue import read_items
from pipelines.ask import ask
from pipelines.work import SHOWN_REST_URL
from serving.gateway.process import EmbeddedGateway

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")]

README = (Path(__file__).resolve().parents[3] / "README.md").read_text()
LINES = [line.strip() for line in re.sub(r"\\\n", "", README).splitlines() if line.strip().startswith("curl ")]
[PREDICT] = [line for line in LINES if ":predict" in line]
OF_GATEWAY = [line for line in LINES if line != PREDICT]


@dataclass(frozen=True)
class Served:
    """Attributes: substitutes: what a line of the README says → what there is of it here; predict: the line of `ask`."""

    substitutes: dict[str, str]
    predict: str

    def line(self, line: str) -> str:
        for theirs, ours in self.substitutes.items():
            line = line.replace(theirs, ours)
        return line

    def curl(self, line: str) -> tuple[int, Any]:
        """The status of the reply, and its document."""
        command = [*shlex.split(self.line(line)), "--write-out", "\n%{http_code}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        document, _, status = said.rpartition("\n")
        return int(status), json.loads(document or "null")


@pytest.fixture(scope="module")
def served(shop: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workdir = tmp_path_factory.mktemp("readme")
    shutil.copytree(shop.registry.folder, workdir / "releases")
    registry = Registry(workdir / "releases")
    version = registry.current()
    assert version is not None
    items = read_items(registry.bundle(version) / "catalogue").to_pylist()
    item = next(item for item in items if item["tags"] and item["price"])
    with EmbeddedGateway(workdir) as gateway:
        answer = ask(registry, gateway.rest_url, None, 5, workdir / "query.json", SHOWN_REST_URL)
        substitutes = {
            "http://127.0.0.1:8080/": f"{gateway.url}/",
            "http://127.0.0.1:8501/": f"{gateway.rest_url}/",
            "@var/demo/query.json": f"@{workdir}/query.json",
            "versions/1:": f"versions/{version}:",
            '"419"': json.dumps(answer.user_id),
            "items/50/": f"items/{item['item_id']}/",
            '"genres"': '"tags"',
            '"Comedy"': json.dumps(item["tags"][0]),
            '"year"': '"price"',
            "1990": str(item["price"]),
            '"title_words"': '"category"',
        }
        yield Served(substitutes, answer.curl)


def test_nothing_is_substituted_that_the_readme_does_not_say(served: Served) -> None:
    assert [theirs for theirs in served.substitutes if not any(theirs in line for line in LINES)] == []


def test_the_model_server_answers(served: Served) -> None:
    assert served.line(PREDICT) == served.line(served.predict)  # what `make demo` prints
    status, document = served.curl(PREDICT)
    assert (status, list(document)) == (200, ["outputs"])


def test_the_gateway_answers(served: Served) -> None:
    """One line after the other: the last one takes out what the one before has put in."""
    recommended, filtered, similar, put, deleted = map(served.curl, OF_GATEWAY)
    for status, document in (recommended, similar):
        assert (status, len(document["items"])) == (200, 5)
    assert filtered[0] == 200
    assert 1 <= len(filtered[1]["items"]) <= 10
    assert (put[0], put[1]["item_id"]) == (200, "new-1")
    assert deleted == (204, None)
