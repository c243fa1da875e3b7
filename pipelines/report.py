"""Write the page about the latest run, from what TFX's metadata knows of it and from the files of its nodes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.report.page import render
from components.report.read import read_record
from components.report.record import Json, RankingEvaluation, RankingSlice, RunRecord
from pipelines.past_runs import LatestRun


def write_report(workdir: Path, output: Path) -> Path:
    """Write the page about the latest run in ``workdir``; a page that is there is replaced in one step.

    Raises:
      ArtifactError: there is no run, or a file of it cannot be read.
    """
    page = render(collect(workdir))
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(output)
    return output


def collect(workdir: Path, name: str | None = None) -> RunRecord:
    """What the latest run in ``workdir`` has left.

    Args:
      name: of the pipeline, where several share the work directory; None takes the latest run of any.

    Raises:
      ArtifactError: there is no run, or a file of it cannot be read.
    """
    run = LatestRun(workdir, name)
    outputs = run.outputs()
    evaluation = outputs.get(("Evaluator", "evaluation"))
    return read_record(
        name=run.pipeline,
        run_id=run.run_id,
        workdir=str(workdir),
        nodes=run.nodes(),
        outputs=outputs,
        anomalies=_anomalies(outputs.get(("ExampleValidator", "anomalies"))),
        ranking=read_ranking(evaluation) if evaluation is not None and evaluation.is_dir() else None,
    )


def _anomalies(folder: Path | None) -> list[Json] | None:
    """What ExampleValidator found: where the gate has stopped the run, it has left no report of its own."""
    if folder is None or not folder.is_dir():
        return None
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    from components.validation.gate import read_anomalies

    found: list[Json] = []
    for file in sorted(folder.glob("Split-*/SchemaDiff.pb")):
        split = file.parent.name.removeprefix("Split-")
        found += [each.to_dict() for each in read_anomalies(split, anomalies_pb2.Anomalies.FromString(file.read_bytes()))]
    return found


def read_ranking(folder: Path) -> RankingEvaluation:
    """What TFMA's Evaluator measured of the candidate, and which thresholds it missed."""
    import tensorflow_model_analysis as tfma  # takes seconds to import

    slices = [
        RankingSlice(
            label=_slice_label(key),
            example_count=int(_value(metrics.get("", {}).get("", {}).get("example_count", {})) or 0),
            metrics=dict(_by_task(metrics)),
        )
        for key, metrics in tfma.load_eval_result(str(folder)).slicing_metrics
    ]
    validation = tfma.load_validation_result(str(folder))
    failures = [
        _failure(each, _slice_label([(part.column, _slice_value(part)) for part in of_slice.slice_key.single_slice_keys]))
        for of_slice in validation.metric_validations_per_slice
        for each in of_slice.failures
    ]
    return RankingEvaluation(slices, failures)


def _slice_label(key: Any) -> str:
    return ", ".join(f"{column}={value}" for column, value in key)


def _slice_value(part: Any) -> str:
    kind = part.WhichOneof("kind")
    value = getattr(part, kind) if kind else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _by_task(metrics: Json) -> Iterator[tuple[str, dict[str, float]]]:
    """Of each task its figures; ``_diff`` ones are comparisons with the last release, which the funnel's own table makes."""
    for task, of_task in metrics.items():
        figures = {name: _value(value) for name, value in of_task.get("", {}).items() if not name.endswith("_diff")}
        known = {name: value for name, value in figures.items() if value is not None and name != "example_count"}
        if known:
            yield task, known


def _value(value: Json) -> float | None:
    if "doubleValue" in value:
        return float(value["doubleValue"])  # JSON has "NaN" as text
    bounded = value.get("boundedValue", {})
    return float(bounded["value"]) if "value" in bounded else None


def _failure(failure: Any, label: str) -> str:
    where = f"for {label}" if label else "over all samples"
    task = f" of {failure.metric_key.output_name}" if failure.metric_key.output_name else ""
    found = failure.metric_value.double_value.value
    threshold = failure.metric_threshold
    wanted = []
    if threshold.value_threshold.HasField("lower_bound"):
        wanted.append(f"at least {threshold.value_threshold.lower_bound.value:g}")
    if threshold.HasField("change_threshold"):
        allowed = -100 * threshold.change_threshold.relative.value
        wanted.append(f"a fall of no more than {allowed:g} % against the last release")
    name = failure.metric_key.name.removesuffix("_diff")
    subject = f"The change of {name}" if failure.metric_key.is_diff else f"The {name}"
    return f"{subject}{task} {where} is {found:.4f}, wanted {' and '.join(wanted) or 'another'}."
