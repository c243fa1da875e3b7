"""TFX adapter of the index."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from components.config import parse_config
from components.errors import GateError
from components.index.index import FACTS_FILE, ExactIndex, ScannIndex, kind_of, recall_against, save_vectors
from components.schema import tfx_api as tfx
from components.schema.artifact_types import ItemIndex
from components.training.exported import Towers, read_examples

TUNED_QUERIES, MEASURED_QUERIES = 1_000, 2_000
K = 100


@tfx.component
def IndexBuilder(  # noqa: N802  a component is named like a class
    config: tfx.Parameter[str],
    examples: tfx.InputArtifact[tfx.standard_artifacts.Examples],
    retrieval: tfx.InputArtifact[tfx.standard_artifacts.Model],
    index: tfx.OutputArtifact[ItemIndex],
) -> None:
    """Build ScaNN over the item vectors and measure it with validation requests.

    Raises:
      GateError: ScaNN finds too little of what the exact index finds.
    """
    settings = parse_config(config, origin="IndexBuilder").index
    towers = Towers(Path(retrieval.uri) / "Format-Serving")
    vectors = towers.item_vectors
    embedded = towers.embed(read_examples(Path(examples.uri) / "Split-eval", TUNED_QUERIES + MEASURED_QUERIES))
    tuned_count = min(TUNED_QUERIES, len(embedded) // 2)
    tuning, queries = embedded[:tuned_count], embedded[tuned_count:]
    exact, scann = ExactIndex(vectors), ScannIndex.build(vectors, settings)
    if kind_of(len(vectors), settings) == "tree_ah":
        scann = scann.tuned(exact, tuning, min(K, len(vectors)), settings)
    recall = recall_against(exact, scann, queries, min(K, len(vectors)))
    folder = Path(index.uri)
    save_vectors(folder, vectors, towers.item_ids)
    scann.save(folder)
    facts = {
        "kind": kind_of(len(vectors), settings),
        "item_count": len(vectors),
        "dim": vectors.shape[1],
        "query_count": len(queries),
        **asdict(scann.effort),
        "recall_at_100": recall,
        "min_recall": settings.min_recall,
        "exact_ms_per_query": _ms_per_query(lambda: exact.search(queries, K), len(queries)),
        "scann_ms_per_query": _ms_per_query(lambda: scann.search(queries, K), len(queries)),
    }
    (folder / FACTS_FILE).write_text(json.dumps(facts, indent=1))
    index.set_float_custom_property("recall_at_100", recall)
    index.set_int_custom_property("item_count", len(vectors))
    if recall < settings.min_recall:
        raise GateError(
            f"ScaNN's recall@100 against the exact index is {recall:.3f}, wanted at least {settings.min_recall} "
            f"(index.min_recall), with {scann.effort.leaves} leaves searched and {scann.effort.oversampling} items scored for "
            f"each that is wanted: raise index.max_leaf_share ({settings.max_leaf_share}), or index.exact_below above "
            f"{len(vectors)} items"
        )


def _ms_per_query(search: Callable[[], object], query_count: int) -> float:
    started = time.perf_counter()
    search()
    return (time.perf_counter() - started) * 1000 / max(1, query_count)
