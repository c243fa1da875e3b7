"""From TFDV's anomalies to a verdict in words."""

from dataclasses import asdict, dataclass

from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.errors import AnomalyError

SEVERITIES = {"warning": anomalies_pb2.AnomalyInfo.WARNING, "error": anomalies_pb2.AnomalyInfo.ERROR}


@dataclass(frozen=True)
class Anomaly:
    split: str
    feature: str
    severity: str  # warning or error
    reason: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def read_anomalies(split: str, found: anomalies_pb2.Anomalies) -> list[Anomaly]:
    """Every anomaly of a split, by feature."""
    anomalies = [
        Anomaly(
            split,
            ".".join(info.path.step) or name,
            "error" if info.severity == anomalies_pb2.AnomalyInfo.ERROR else "warning",
            f"{info.short_description}: {info.description}".rstrip(": "),
        )
        for name, info in sorted(found.anomaly_info.items())
    ]
    if found.HasField("dataset_anomaly_info"):
        info = found.dataset_anomaly_info
        anomalies.append(Anomaly(split, "(the whole split)", "error", info.description))
    return anomalies


def check(anomalies: list[Anomaly], stop_at: str) -> None:
    """Raise if any anomaly is at least as severe as ``stop_at`` (``warning``, ``error`` or ``never``).

    Raises:
      AnomalyError: names each feature and why.
    """
    stopping = {"warning": ("warning", "error"), "error": ("error",), "never": ()}[stop_at]
    grave = [anomaly for anomaly in anomalies if anomaly.severity in stopping]
    if grave:
        lines = [f"  {anomaly.feature} ({anomaly.split} split, {anomaly.severity}): {anomaly.reason}" for anomaly in grave]
        raise AnomalyError(
            "the samples break their schema, so nothing was trained on them:\n" + "\n".join(lines) + "\n"
            "Correct the data or the feature's settings; validation.stop_at says how severe an anomaly stops a run."
        )
