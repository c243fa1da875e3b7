"""Ask a model server for one user's recommendations, with what the release knows of the user."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.config import PipelineConfig, parse_config
from components.errors import DataError, ServingError
from components.push.registry import Registry
from components.schema import samples as names
from components.schema.catalogue import read_items
from components.schema.features import REQUESTS_FOLDER, SnapshotFacts, read_user_states
from components.schema.request import request_inputs
from components.training.signature import EXCLUDED
from serving.rest import predict_body, predict_path, rest_predict

MODEL, SIGNATURE = "ranker", "recommend"


@dataclass(frozen=True)
class Shown:
    item_id: str
    title: str
    score: float | None = None


@dataclass(frozen=True)
class Answer:
    """What was asked and answered.

    Attributes:
      history: most recent first; recommended: best first.
      timestamp_ms: as of when was asked, the end of the release's log.
      curl: a command line that asks the same.
    """

    user_id: str
    release: int
    timestamp_ms: int
    history: list[Shown]
    recommended: list[Shown]
    curl: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def ask(registry: Registry, url: str, user_id: str | None, count: int, body_file: Path, shown_url: str) -> Answer:
    """The funnel's list for a user, over TensorFlow Serving's REST API.

    Args:
      user_id: None takes a user of middling activity.
      body_file: where the request is written, for ``curl --data @file``.
      shown_url: the server that the curl line names; a server started for one question is gone afterwards.

    Raises:
      ServingError: there is no release, or no server answers. DataError: the user is unknown.
    """
    version = registry.current()
    if version is None:
        raise ServingError(f"{registry.folder}: holds no release yet; `winnow run` makes one")
    bundle = registry.bundle(version)
    config = parse_config((bundle / "config.json").read_text(), origin=str(bundle / "config.json"))
    states = read_user_states(bundle / "features")
    users = states.column("user_id").to_pylist()
    histories = states.column("item_id").to_pylist()
    if user_id is None:
        user_id = sorted(zip(map(len, histories), users, strict=True))[len(users) // 2][1]
    if user_id not in users:
        raise DataError(
            f"user {user_id!r} is not in release {version}; it knows {len(users)} users, such as {sorted(users)[0]!r}"
        )
    inputs = _inputs(bundle, config, user_id)
    seen = states.column("seen_item_id")[users.index(user_id)].as_py() if config.evaluation.exclude_seen else []
    inputs[EXCLUDED] = [seen or [""]]
    body_file.parent.mkdir(parents=True, exist_ok=True)
    body_file.write_text(predict_body(inputs, SIGNATURE))
    answered = rest_predict(url, MODEL, inputs, SIGNATURE, version)
    items = read_items(bundle / "catalogue")
    titles = dict(zip(items.column("item_id").to_pylist(), items.column("title").to_pylist(), strict=True))
    return Answer(
        user_id=user_id,
        release=version,
        timestamp_ms=inputs[names.TIMESTAMP][0],
        history=[Shown(item, titles.get(item, item)) for item in reversed(histories[users.index(user_id)])],
        recommended=[
            Shown(item, titles.get(item, item), float(score))
            for item, score in list(zip(answered["item_id"][0], answered["score"][0], strict=True))[:count]
            if item  # the list may be longer than there are items left
        ],
        curl=f"curl -s --data @{shlex.quote(str(body_file))} {shown_url}{predict_path(MODEL, version)}",
    )


def _inputs(bundle: Path, config: PipelineConfig, user_id: str) -> dict[str, list[Any]]:
    types = SnapshotFacts.load(bundle / "features").types
    files = sorted(str(path) for path in (bundle / "features" / REQUESTS_FOLDER).glob("*.gz"))
    for sample in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        if tf.train.Example.FromString(sample).features.feature[names.USER_ID].bytes_list.value[0].decode() == user_id:
            return request_inputs(sample, config, types)
    raise DataError(f"{bundle}: has no request of user {user_id!r}")
