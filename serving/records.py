"""What the event stream carries: made by the gateway, read by the writer of the log and by whoever else follows the stream."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

Id = Annotated[str, StringConstraints(min_length=1)]
Moment = Annotated[int, Field(ge=0, lt=1 << 62, description="ms UTC")]
Position = Annotated[int, Field(ge=0, lt=1 << 31)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EventRecord(_Record):
    """Something that a user did.

    ``context`` has every context column of the data set, null where the client did not say it.
    """

    kind: Literal["event"] = "event"
    event_id: Id
    user_id: Id
    item_id: Id
    type: Id
    value: float | None = None
    timestamp_ms: Moment
    received_ms: Moment | None = None
    request_id: str | None = None
    position: Position | None = None
    context: dict[str, str | None] = {}


class Place(_Record):
    """One place of a list. ``propensity`` is the probability with which the item was put there."""

    position: Position
    item_id: Id
    score: float | None
    propensity: Annotated[float, Field(gt=0, le=1)]
    tasks: dict[str, float]
    sources: tuple[str, ...]


class ShownRecord(_Record):
    """A list that a user was shown.

    Attributes:
      user_id: null for an anonymous visitor.
      experiments: experiment → the arm that the user is in.
      type: the event type under which the data set has its impressions.
      timestamp_ms: as of when the list was asked for; received_ms: when that was, null in records of earlier versions.
      features: what the models were asked with, in the column form of TensorFlow Serving's predict API, candidates left out.
    """

    kind: Literal["shown"] = "shown"
    request_id: Id
    user_id: Id | None
    type: Id
    timestamp_ms: Moment
    received_ms: Moment | None = None
    release: Annotated[int, Field(ge=0, lt=1 << 62)]
    context: dict[str, str | None]
    places: tuple[Place, ...]
    experiments: dict[str, str] = {}
    fallbacks: tuple[str, ...]
    features: dict[str, list[Any]]


_RECORD: TypeAdapter[EventRecord | ShownRecord] = TypeAdapter(Annotated[EventRecord | ShownRecord, Field(discriminator="kind")])


def parse_record(text: str | bytes) -> EventRecord | ShownRecord:
    """
    Raises:
      pydantic.ValidationError: the text is no record.
    """
    return _RECORD.validate_json(text)
