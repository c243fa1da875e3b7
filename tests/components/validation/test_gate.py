"""From anomalies to a verdict in words."""

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.errors import AnomalyError
from components.validation.gate import Anomaly, check, read_anomalies

WARNING = Anomaly("eval", "plan", "warning", "High drift: it moved")
ERROR = Anomaly("train", "brand", "error", "Unexpected string values: 'x'")


@pytest.mark.parametrize(
    ("stop_at", "anomalies", "stops"),
    [
        ("warning", [], False),
        ("warning", [WARNING], True),
        ("warning", [ERROR], True),
        ("error", [WARNING], False),
        ("error", [WARNING, ERROR], True),
        ("never", [WARNING, ERROR], False),
    ],
)
def test_what_stops_a_run(stop_at: str, anomalies: list[Anomaly], stops: bool) -> None:
    if stops:
        with pytest.raises(AnomalyError):
            check(anomalies, stop_at)
    else:
        check(anomalies, stop_at)


def test_the_message_names_what_stopped_it_and_only_that() -> None:
    with pytest.raises(AnomalyError) as error:
        check([WARNING, ERROR], "error")
    assert str(error.value) == (
        "the samples break their schema, so nothing was trained on them:\n"
        "  brand (train split, error): Unexpected string values: 'x'\n"
        "Correct the data or the feature's settings; validation.stop_at says how severe an anomaly stops a run."
    )
    assert error.value.exit_code == 3


def test_anomalies_are_read_by_feature() -> None:
    found = anomalies_pb2.Anomalies()
    kinds = anomalies_pb2.AnomalyInfo
    found.anomaly_info["b"].CopyFrom(kinds(severity=kinds.ERROR, short_description="Odd", description="It is odd."))
    found.anomaly_info["a"].CopyFrom(kinds(severity=kinds.WARNING, short_description="New"))
    found.anomaly_info["a"].path.step.extend(["a", "x"])
    found.dataset_anomaly_info.description = "It is empty."
    assert read_anomalies("test", found) == [
        Anomaly("test", "a.x", "warning", "New"),
        Anomaly("test", "b", "error", "Odd: It is odd."),
        Anomaly("test", "(the whole split)", "error", "It is empty."),
    ]
