"""The monitoring config file: whether there is a page for Prometheus, and under which path."""

from pathlib import Path

from serving.model_server.own_protos import MessageTable, message_classes
from serving.model_server.prometheus import DEFAULT_PATH
from serving.model_server.text_proto import read_text_proto

_MESSAGES: MessageTable = {
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, ".PrometheusConfig")},
}
_CLASSES = message_classes("winnow/monitoring_config.proto", _MESSAGES)
_EXAMPLE = f'prometheus_config {{ enable: true path: "{DEFAULT_PATH}" }}'


def read_prometheus_path(path: Path) -> str | None:
    """The path of the page for Prometheus, None where it is not enabled.

    Raises ServingError where the file is no MonitoringConfig in text form.
    """
    config = read_text_proto(path, _CLASSES["MonitoringConfig"](), "a MonitoringConfig", _EXAMPLE).prometheus_config
    return (config.path or DEFAULT_PATH) if config.enable else None
