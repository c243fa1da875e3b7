"""Recall from a million synthetic items of 64 dimensions: ScaNN beside hnswlib and faiss at equal recall, in one run.

The vectors lie in clusters, as those of trained towers do; the queries are drawn from the same clusters. Each index is
searched with one query at a time on one thread, as the gateway does, at the least effort that finds ``RECALL`` of the
exact best 100; ScaNN also as winnow tunes and asks it (other queries tune it).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import IndexConfig
from components.index.index import ExactIndex, ScannIndex

DIM, CLUSTERS, SPREAD = 64, 2_000, 0.7
K, RECALL = 100, 0.95
QUERIES = 500
Floats = NDArray[np.float32]
Figure = tuple[str, float, str]
Search = Callable[[Floats, int], NDArray[Any]]  # one query [dim], effort → ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--others", type=Path, required=True, help="a folder with hnswlib and faiss")
    arguments = parser.parse_args()
    sys.path.append(str(arguments.others))  # last: our own numpy comes first
    vectors, queries, for_tuning = synthetic(arguments.items)
    exact = ExactIndex(vectors)
    truth, _ = exact.search(queries, K)
    for name, build, efforts in (
        ("scann", lambda vectors: _scann(vectors, exact, for_tuning), (20, 40, 80, 120, 160, 240, 320, 480, 640, 1_000)),
        ("faiss_ivf", _faiss_ivf, (4, 8, 16, 32, 48, 64, 96, 128, 256, 512)),
        ("hnswlib", _hnswlib, (100, 150, 200, 300, 400, 600, 800, 1_200, 1_600)),
    ):
        started = time.monotonic()
        search = build(vectors)
        _print([(f"{name}_build_s", time.monotonic() - started, "s")])
        if name == "scann":
            _print(measured("scann_as_served", search, (0,), queries, truth))
        _print(measured(name, search, efforts, queries, truth))


def _print(figures: Iterable[Figure]) -> None:
    for name, value, unit in figures:
        print(json.dumps({"name": name, "value": round(value, 4), "unit": unit}), flush=True)


def synthetic(count: int) -> tuple[Floats, Floats, Floats]:
    """Items float32 [count, 64], queries [QUERIES, 64] and as many others, of length 1."""
    rng = np.random.default_rng(11)
    centres = _unit(rng.standard_normal((CLUSTERS, DIM), np.float32))

    def drawn(number: int) -> Floats:
        noise = _unit(rng.standard_normal((number, DIM), np.float32))
        return _unit(centres[rng.integers(CLUSTERS, size=number)] + SPREAD * noise)

    return drawn(count), drawn(QUERIES), drawn(QUERIES)


def measured(
    name: str, search: Search, efforts: tuple[int, ...], queries: Floats, truth: NDArray[np.int32]
) -> Iterator[Figure]:
    for effort in efforts:
        started = time.perf_counter()
        found = [search(query, effort) for query in queries]
        seconds = time.perf_counter() - started
        hits = sum(len(np.intersect1d(one, two)) for one, two in zip(truth, found, strict=True))
        recall = hits / truth.size
        if recall >= RECALL:
            break
    yield f"{name}_recall_at_100", recall, "1"
    yield f"{name}_effort", effort, "1"
    yield f"{name}_queries_per_s", len(queries) / seconds, "1/s"


def _scann(vectors: Floats, exact: ExactIndex, for_tuning: Floats) -> Search:
    """As winnow builds it; the effort is the number of leaves searched, 0 for winnow's own choice."""
    index = ScannIndex.build(vectors, IndexConfig()).tuned(exact, for_tuning, K, IndexConfig(min_recall=RECALL))

    def search(query: Floats, effort: int) -> NDArray[Any]:
        if not effort:
            return index.search(query[np.newaxis], K)[0][0]
        return index._searcher.search(query, leaves_to_search=effort)[0]

    return search


def _faiss_ivf(vectors: Floats) -> Search:
    """A tree and product quantisation with exact reordering: faiss's nearest relation of ScaNN."""
    import faiss

    faiss.omp_set_num_threads(os.cpu_count() or 1)
    leaves = int(np.sqrt(len(vectors)))
    index = faiss.index_factory(DIM, f"IVF{leaves},PQ{DIM // 2}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:250_000])
    index.add(vectors)
    faiss.omp_set_num_threads(1)
    index.k_factor = 4
    leaves_searched = faiss.extract_index_ivf(index)

    def search(query: Floats, effort: int) -> NDArray[Any]:
        leaves_searched.nprobe = effort
        return index.search(query[np.newaxis], K)[1][0]

    return search


def _hnswlib(vectors: Floats) -> Search:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=DIM)
    index.init_index(max_elements=len(vectors), ef_construction=100, M=16)
    index.add_items(vectors)
    index.set_num_threads(1)

    def search(query: Floats, effort: int) -> NDArray[Any]:
        index.set_ef(effort)
        return index.knn_query(query[np.newaxis], K)[0][0]

    return search


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
