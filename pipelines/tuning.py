"""A search for settings by a run of the pipeline as far as its last tuner, and the config with what it has found."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.config import PipelineConfig, load_config
from components.config.tuning import TRIALS_FILE, with_values
from components.errors import ConfigError
from components.ingest.sources import TABLES
from components.push.registry import write_atomically
from pipelines.nodes import TUNERS, nodes_of
from pipelines.past_runs import LatestRun

EXAMPLE = "tuning: {ranking: {learning_rate: {min: 0.0005, max: 0.01, scale: log}}}"


def last_tuner(config: PipelineConfig, origin: Path) -> str:
    """The node with which the search ends.

    Raises:
      ConfigError: the config searches for nothing.
    """
    tuners = [node for node in nodes_of(config) if node in TUNERS]
    if not tuners:
        raise ConfigError(f"{origin}: found no `tuning`, wanted what to search for, such as {EXAMPLE}")
    return tuners[-1]


def found(workdir: Path) -> list[dict[str, Any]]:
    """Of each search of the latest run: section, metric, and its trials, those that reached most first."""
    outputs = LatestRun(workdir).outputs()
    records = [json.loads((outputs[node, "tuner_results"] / TRIALS_FILE).read_text()) for node in TUNERS
               if (node, "tuner_results") in outputs]  # fmt: skip
    for record in records:
        record["trials"].sort(key=lambda trial: -trial["score"] if trial["score"] is not None else 1.0)
    return records


def write_tuned(config: Path, output: Path, records: list[dict[str, Any]]) -> None:
    """The config with the best values of each search in their places, and in comments what was tried and what it reached."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    complete = load_config(config)
    searched = document.pop("tuning")
    for record in records:
        values, section = record["trials"][0]["values"], record["section"]
        for part in {key.partition(".")[0] for key in values if "." in key}:  # a model or heads that went unnamed by default
            named = getattr(getattr(complete, section), part).name
            document.setdefault(section, {}).setdefault(part, {"name": named})
        document = with_values(document, section, values)
    for name in TABLES:
        if (table := getattr(complete.dataset, name)) is not None:
            document["dataset"][name]["path"] = os.path.relpath(table.path, output.resolve().parent)
    lines = [f"# {config.name} with the settings that `winnow tune` has found; its own comments are there."]
    for record in records:
        lines += ["#", *(f"# {line}" for line in _told(record))]
    lines += ["#", "# Searched for:", *(f"#   {line}" for line in _yaml({"tuning": searched}).splitlines())]
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, "\n".join(lines) + "\n" + _yaml(document))
    load_config(output)


def _told(record: Mapping[str, Any]) -> list[str]:
    """Lines about one search."""
    trials = record["trials"]
    lines = [f"{record['section']}: {len(trials)} trials by {record['metric']} on the validation split, the best first"]
    for trial in trials:
        reached = f"{trial['score']:.5f}" if trial["score"] is not None else f"failed ({trial['failure']})"
        values = ", ".join(f"{key}: {_short(value)}" for key, value in trial["values"].items())
        lines.append(f"  {reached}  {values}")
    return lines


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def _yaml(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
