from collections.abc import Callable
from pathlib import Path

import pytest

from components.push.registry import Registry


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "releases")


@pytest.fixture
def publish(registry: Registry, tmp_path: Path) -> Callable[[str], int]:
    """Publishes models and an index that hold the given text."""

    def make(text: str) -> int:
        source = tmp_path / "source" / text
        return registry.publish(
            "shop",
            models={
                "retrieval": write(source / "retrieval", {"saved_model.pb": f"towers {text}", "variables/index": text}),
                "ranker": write(source / "ranker", {"saved_model.pb": f"ranker {text}"}),
            },
            parts={"index": write(source / "index", {"vectors.npy": text, "scann/assets": text})},
            documents={"config.json": "{}", "evaluation.json": text},
            candidates=300,
            fingerprint=f"made from {text}",
            compared_with=registry.current() or 0,
            metrics={"ndcg@10": 0.25},
        )

    return make
