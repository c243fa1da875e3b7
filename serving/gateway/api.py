"""The wire: what clients send and get, in JSON. Unknown fields are refused, and everything has a bound.

Numbers are strict: neither ``true`` nor ``"1"`` is one.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StringConstraints, model_validator

Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Moment = Annotated[int, Field(strict=True, ge=631_152_000_000, lt=4_102_444_800_000, description="ms UTC, 1990 to 2100")]

Value = Annotated[float, Field(strict=True, ge=-3.4e38, le=3.4e38, description="kept in 32 bits")]


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Refusal(Wire):
    """What was wrong, and in which field: ``body.events.3.item_id``."""

    error: str
    field: str | None = None


class SessionEvent(Wire):
    """Something that the user of a request has just done and that was not sent to /v1/events yet."""

    item_id: Id
    type: Name
    timestamp_ms: Moment
    value: Value | None = None


class Event(SessionEvent):
    """Something that a user did, or was shown; sent twice, it counts once."""

    event_id: Id
    user_id: Id
    context: dict[Name, Id] = Field(default={}, max_length=32)
    request_id: Id | None = None
    position: int | None = Field(default=None, strict=True, ge=0, le=100_000)


class EventsRequest(Wire):
    events: list[Event] = Field(min_length=1, max_length=1_000)


class EventsReply(Wire):
    """What became of the events, each counted once; none is lost by then.

    ``folded`` were new; ``repeated`` were known; ``ignored`` are of types that do not enter the history: they are logged, and
    change no state; ``deferred`` are kept, and folded once the store answers again.
    """

    folded: int
    repeated: int
    ignored: int
    deferred: int


class Condition(Wire):
    """What a feature of an item must be: one of some values, or a number within bounds; unknown, it is neither.

    A feature with several values fits where one of them does. Bounds of a timestamp are ms UTC.
    """

    feature: Name
    one_of: list[Id] | None = Field(default=None, min_length=1, max_length=100)
    at_least: StrictFloat | None = None
    at_most: StrictFloat | None = None

    @model_validator(mode="after")
    def _is_one_condition(self) -> Self:
        if (self.one_of is None) == (self.at_least is None and self.at_most is None):
            raise ValueError("wanted either one_of, or at_least, at_most or both of these")
        return self


class RecommendRequest(Wire):
    user_id: Id | None = Field(default=None, description="without it, an anonymous visitor")
    timestamp_ms: Moment | None = Field(default=None, description="as of when, ms UTC; by default now. For a log of the past")
    count: int = Field(default=10, strict=True, ge=1, le=100)
    context: dict[Name, Id] = Field(default={}, max_length=32)
    exclude: list[Id] = Field(default=[], max_length=1_000)
    filters: list[Condition] = Field(default=[], max_length=16, description="every item fits all of them")
    candidates: list[Id] | None = Field(
        default=None, min_length=1, max_length=1_000, description="rank these only, without recall"
    )
    events: list[SessionEvent] = Field(default=[], max_length=100)


class Change(Wire):
    """What one step of re-ranking has done to an item, and why; where the ranks are equal, it has changed the score."""

    step: str
    from_rank: int
    to_rank: int
    reason: str


class Recommended(Wire):
    """One place of the list.

    ``score`` orders the list, till diversity, caps and pins move items; ``tasks`` are the ranker's predictions;
    ``sources`` found the item; ``rerank`` says what re-ranking changed, step by step.
    """

    rank: int
    item_id: str
    title: str
    score: float | None
    tasks: dict[str, float]
    sources: tuple[str, ...]
    rerank: tuple[Change, ...] = ()


class RecommendReply(Wire):
    """``experiments`` are those that the user takes part in, with the arm; ``fallbacks`` name the stages that could not do
    their part, and what was done instead.
    """

    request_id: str
    release: int
    items: list[Recommended]
    experiments: dict[str, str] = {}
    fallbacks: list[str]
    timings_ms: dict[str, float]
