"""What others' models give on the very moments and by the very code that ours are judged by, from the artifacts of a run."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import scipy.sparse as sp

from components.config import EaseSettings, PipelineConfig
from components.evaluation.library_baselines import Bpr, Data, Ials
from components.push.registry import write_atomically
from components.schema.catalogue import read_items
from pipelines.past_runs import LatestRun

FILE = "baselines.json"
Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Baselines:
    """Settings of others' models.

    Attributes:
      bpr: None where nearly all who are judged are new: it knows nobody that it was not trained on.
      ease_l2: of EASE with all neighbours of all that the user had; left out where the catalogue is too large for its matrix.
    """

    ials: Ials
    bpr: Bpr | None
    ease_l2: float


def baseline_metrics(
    config: PipelineConfig, workdir: Path, settings: Baselines, seed: int, progress: Callable[[str], None]
) -> dict[str, Metrics]:
    """System → metric → value, on the test split of the latest run; what an earlier call has left is not made again."""
    outputs = LatestRun(workdir).outputs()
    item_count, fitting = read_items(outputs["Ingest", "catalogue"]).num_rows, EaseSettings().max_items
    if item_count > fitting:
        progress(f"EASE is left out: its matrix is of up to {fitting:,} items, and there are {item_count:,}")
    samples = {"samples": str(outputs["Samples", "examples"]), "evaluation": config.evaluation.model_dump(mode="json")}
    wanted: dict[str, dict[str, Any]] = {
        "iALS": {**samples, **asdict(settings.ials), "seed": seed},
        **({"BPR": {**samples, **asdict(settings.bpr), "seed": seed}} if settings.bpr else {}),
        **({"EASE": {**samples, "l2": settings.ease_l2}} if item_count <= fitting else {}),
    }
    path = workdir / FILE
    kept = json.loads(path.read_text()) if path.exists() else {}
    made = {name: kept[name] for name in wanted if name in kept and kept[name]["made_from"] == wanted[name]}
    if missing := [name for name in wanted if name not in made]:
        for name, metrics in judged(config, "test", outputs, settings, seed, missing):
            progress(f"{name}: NDCG@10 {metrics['ndcg@10']:.4f}")
            made[name] = {"made_from": wanted[name], "metrics": metrics}
            write_atomically(path, json.dumps(made, indent=1))
    return {name: made[name]["metrics"] for name in wanted}


def judged(
    config: PipelineConfig,
    split: str,
    outputs: Mapping[tuple[str, str], Path],
    settings: Baselines,
    seed: int,
    systems: list[str],
) -> Iterator[tuple[str, Metrics]]:
    """Some of iALS, BPR and EASE, one after the other, on a split."""
    # Here, since TensorFlow takes seconds to import.
    from components.evaluation.baselines import popularity_counts, recommend_item_to_item
    from components.evaluation.funnel import ranking_means
    from components.evaluation.library_baselines import bpr_lists, ials_lists
    from components.evaluation.queries import split_queries
    from components.schema.features import read_interactions

    catalogue, features = outputs["Ingest", "catalogue"], outputs["Samples", "features"]
    queries = split_queries(config, split, outputs["Samples", "examples"], outputs["Ingest", "event_log"], catalogue)
    item_count = read_items(catalogue).num_rows
    interactions = read_interactions(features)
    users = interactions.column("user_id").combine_chunks().dictionary_encode()
    item = interactions.column("item_index").to_numpy()
    had = sp.csr_matrix((np.ones(len(item), np.int32), (users.indices, item)), (len(users.dictionary), item_count))
    had.data[:] = 1  # the constructor summed what a user had again
    user = pc.index_in(queries.user_id, users.dictionary).fill_null(-1).to_numpy()
    data, k = Data(had, user, queries.had, queries.seen), max(config.evaluation.k)

    def ease() -> Any:
        found = _ease(features, item_count, settings.ease_l2)
        return recommend_item_to_item(found, queries.had, queries.seen, popularity_counts(item, item_count), k)

    lists: dict[str, Callable[[], Any]] = {"iALS": lambda: ials_lists(data, settings.ials, seed, k), "EASE": ease}
    if (bpr := settings.bpr) is not None:
        lists["BPR"] = lambda: bpr_lists(data, bpr, seed, k)
    for name in systems:
        yield name, ranking_means(lists[name](), queries, config)


def _ease(features: Path, item_count: int, l2: float) -> Any:
    import apache_beam as beam

    from components.errors import raised_as_ours
    from components.item_to_item.beam import find_neighbours
    from components.item_to_item.neighbours import Neighbours, join_blocks
    from components.schema.features import interaction_files
    from pipelines.beam_profiles import LOCAL_BEAM

    settings = EaseSettings(l2=l2, neighbours=item_count, max_user_items=item_count)
    with tempfile.TemporaryDirectory() as scratch:
        blocks, table = Path(scratch) / "blocks", Path(scratch) / "table"
        with raised_as_ours(), beam.Pipeline(argv=LOCAL_BEAM.arguments()) as pipeline:
            find_neighbours(pipeline, settings, interaction_files(features), item_count, blocks)
        join_blocks(blocks, table, item_count)
        return Neighbours.load(table, item_count)  # what is mapped into memory outlives its folder
