"""Recall from a million synthetic items of 64 dimensions: ScaNN beside hnswlib and faiss at equal recall, in one run.

The vectors lie in clusters, as those of trained towers do; the queries are drawn from the same clusters. Each index is
searched with one query at a time on one thread, as the gateway does: ScaNN as winnow builds, tunes and asks it (by other
queries), the others at the least effort that finds a share of the exact best 100. Where even their least effort finds more
than was wanted, the higher share is the one to compare at.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import IndexConfig
from components.index.index import ExactIndex, ScannIndex

DIM, CLUSTERS, SPREAD = 64, 2_000, 0.7
K, RECALLS = 100, (0.95, 0.99)
QUERIES = 500
Floats = NDArray[np.float32]
Figure = tuple[str, float, str]
Search = Callable[[Floats], NDArray[Any]]  # one query [dim] → ids
Searches = Iterable[Search]  # by how much effort each takes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--others", type=Path, required=True, help="a folder with hnswlib and faiss")
    arguments = parser.parse_args()
    sys.path.append(str(arguments.others))  # last: our own numpy comes first
    vectors, queries, for_tuning = synthetic(arguments.items)
    exact = ExactIndex(vectors)
    truth, _ = exact.search(queries, K)
    builds: Mapping[str, Callable[[], Callable[[float], Searches]]] = {
        "scann": lambda: _scann(vectors, exact, for_tuning),
        "faiss_ivf": lambda: _faiss_ivf(vectors),
        "hnswlib": lambda: _hnswlib(vectors),
    }
    for name, build in builds.items():
        started = time.monotonic()
        searches = build()
        _print([(f"{name}_build_s", time.monotonic() - started, "s")])
        for recall in RECALLS:
            _print(measured(f"{name}_{round(100 * recall)}", searches(recall), recall, queries, truth))


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


def measured(name: str, searches: Searches, recall: float, queries: Floats, truth: NDArray[np.int32]) -> Iterator[Figure]:
    """Of the first search that finds enough, else of the last one."""
    for search in searches:
        started = time.perf_counter()
        found = [search(query) for query in queries]
        seconds = time.perf_counter() - started
        found_share = sum(len(np.intersect1d(one, two)) for one, two in zip(truth, found, strict=True)) / truth.size
        if found_share >= recall:
            break
    yield f"{name}_recall_at_100", found_share, "1"
    yield f"{name}_queries_per_s", len(queries) / seconds, "1/s"


def _scann(vectors: Floats, exact: ExactIndex, for_tuning: Floats) -> Callable[[float], Searches]:
    index = ScannIndex.build(vectors, IndexConfig())

    def searches(recall: float) -> Searches:
        tuned = index.tuned(exact, for_tuning, K, IndexConfig(min_recall=recall))
        return [lambda query: tuned.search(query[np.newaxis], K)[0][0]]

    return searches


def _faiss_ivf(vectors: Floats) -> Callable[[float], Searches]:
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

    def searches(recall: float) -> Searches:
        for leaves_searched.nprobe in (1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256):
            yield lambda query: index.search(query[np.newaxis], K)[1][0]

    return searches


def _hnswlib(vectors: Floats) -> Callable[[float], Searches]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=DIM)
    index.init_index(max_elements=len(vectors), ef_construction=100, M=16)
    index.add_items(vectors)
    index.set_num_threads(1)

    def searches(recall: float) -> Searches:
        for effort in (K, 150, 200, 300, 400, 600, 800, 1_200, 1_600):  # it refuses less than is wanted
            index.set_ef(effort)
            yield lambda query: index.knn_query(query[np.newaxis], K)[0][0]

    return searches


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
