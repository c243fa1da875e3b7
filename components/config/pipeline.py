"""How the pipeline works on a data set: samples, validation, models, gates. Every key has a default."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from components.config.dataset import DatasetConfig, EventType, Name, SplitConfig
from components.config.item_to_item import CosineSettings, ItemToItemSettings
from components.config.rankers import DcnV2Settings, HeadsSettings, RankerSettings, SingleHeadSettings
from components.config.settings import Settings
from components.config.tuning import TuningConfig, with_values


class SamplesConfig(Settings):
    positive: Name | None = Field(
        default=None,
        description="the binary task that recall is trained on and the funnel is judged by; default: the first",
    )
    impressions: EventType | None = Field(
        default=None,
        description="event type of logged impressions; without it every event is a positive, negatives are drawn",
    )
    history_types: tuple[EventType, ...] | None = Field(
        default=None, description="event types that enter the user's history; default: all but impressions"
    )
    history_length: int = Field(default=50, ge=1, le=1000)
    negatives: int = Field(
        default=4, ge=0, le=200, description="drawn for each positive where there are no impressions: 0, or at least 2"
    )
    negative_power: float = Field(default=0.75, ge=0, le=1, description="drawn in proportion to popularity ** power")
    impression_keep_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of training impressions without an outcome to keep; the weight makes up for it",
    )
    train_on: Literal["events", "windows"] = Field(
        default="events",
        description="windows: only those samples that a query tower of sequences learns from; ranking learns from them too",
    )
    outcome_window_s: int = Field(default=86_400, gt=0, description="how long after an impression its outcome may come")
    split: SplitConfig = SplitConfig()
    seed: int = 17

    @field_validator("negatives")
    @classmethod
    def _negatives_are_no_second_class(cls, negatives: int) -> int:
        """TFMA takes two predictions of a sample for those of the two classes of one."""
        if negatives == 1:
            raise ValueError("found 1, wanted 0 or at least 2: TFMA cannot tell two candidates from two classes")
        return negatives


class ValidationConfig(Settings):
    stop_at: Literal["warning", "error", "never"] = Field(
        default="error", description="the least severity of an anomaly that stops the run"
    )
    drift_threshold: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="L-infinity distance of a categorical feature between train and eval that is a warning",
    )


class TrainingConfig(Settings):
    batch_size: int = Field(default=512, ge=1)
    epochs: int = Field(default=10, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    optimizer: Literal["adam", "rowwise_adam"] = Field(
        default="adam",
        description="rowwise_adam: steps only the rows of embedding tables that a batch reads: for tables of millions of rows",
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="of the learning rate over the epochs; cosine: down to 0 at the last"
    )
    patience: int = Field(default=3, ge=1, description="epochs without a better validation metric before stopping")
    seed: int = 17
    id_dropout: float = Field(default=0.1, ge=0, lt=1, description="share of item ids hidden in training: serves new items")
    distribute: Literal["none", "mirrored", "multi_worker"] = Field(
        default="none",
        description="train on one device, on all GPUs of the machine, or with the workers that the environment's TF_CONFIG "
        "names, each with a part of every batch (tf.distribute)",
    )


# A setting that nothing reads was meant to do something: it is refused where it is not the default.
READ_WITH = {
    "loss_negatives": ("loss", ("mixed", "sampled", "gbce")),
    "loss_hardest": ("loss", ("mixed", "sampled")),
    "loss_calibration": ("loss", ("gbce",)),
    "loss_top_k": ("loss", ("off_policy",)),
    "loss_weight_cap": ("loss", ("off_policy",)),
    "loss_ips_cap": ("loss", ("ips",)),
    "blocks": ("query_tower", ("self_attention", "gru")),
    "heads": ("query_tower", ("self_attention",)),
}


FROM_PROPENSITIES = ("off_policy", "ips")
FULL_UP_TO = 10_000  # items: full scores each of them for each sample


class RetrievalConfig(TrainingConfig):
    query_tower: Literal["pooled", "self_attention", "gru"] = Field(
        default="pooled",
        description="pooled: attention over the history as a set; self_attention, gru: over it as a sequence (SASRec, GRU4Rec)",
    )
    loss: Literal["in_batch", "mixed", "full", "sampled", "gbce", "off_policy", "ips"] | None = Field(
        default=None,
        description="what the next item is told from: the batch, the batch and some drawn, all, some drawn; gbce: from each of "
        "some drawn on its own; off_policy, ips: as full, corrected for what was shown; default: full, but "
        f"in_batch for pooled where there are more than {FULL_UP_TO:,} items",
    )
    loss_negatives: int = Field(default=1_000, ge=1, description="drawn for each batch, where loss is mixed, sampled or gbce")
    loss_hardest: int | None = Field(
        default=None, ge=1, description="only so many negatives count, those that score best; where loss is mixed or sampled"
    )
    loss_calibration: float = Field(default=0.75, ge=0, le=1, description="of gbce: 0 is plain binary cross-entropy")
    loss_top_k: int = Field(default=10, ge=1, description="of off_policy: the length of the list that is to hold the item")
    loss_weight_cap: float = Field(default=10.0, gt=0, description="of off_policy: the greatest importance weight")
    loss_ips_cap: float = Field(
        default=0.1,
        gt=0,
        description="of ips: the greatest weight; 1 is that of an item which was shown as often as if all were drawn alike",
    )
    embedding_dim: int = Field(default=64, ge=2, le=1024)
    hidden: tuple[PositiveInt, ...] = Field(default=(128,), description="of the pooled tower, and of the item tower's features")
    blocks: int = Field(default=2, ge=1, le=24, description="of self-attention, or layers of GRU")
    heads: int = Field(default=2, ge=1, description="of each block; they divide embedding_dim")
    dropout: float = Field(default=0.2, ge=0, lt=1)
    epochs: int = Field(default=20, ge=1)
    stop_on: Literal["recall", "ndcg"] = Field(
        default="recall",
        description="the validation metric that training is stopped by: recall among as many as are ranked "
        "(ranking.candidates), or NDCG@10 of recall alone",
    )

    def loss_of(self, item_count: int) -> str:
        """What is named, or else what measured best (``infra/decisions/0015``), as long as its time bears the catalogue."""
        return self.loss or ("in_batch" if self.query_tower == "pooled" and item_count > FULL_UP_TO else "full")

    @model_validator(mode="after")
    def _tower_and_loss_agree(self) -> Self:
        if self.query_tower != "pooled":
            if self.loss in ("in_batch", "mixed", *FROM_PROPENSITIES):
                reason = "no propensities" if self.loss in FROM_PROPENSITIES else "too many items"
                raise ValueError(f"loss: found {self.loss}, wanted full, sampled or gbce: a batch of sequences holds {reason}")
            if self.query_tower == "self_attention" and self.embedding_dim % self.heads:
                raise ValueError(f"heads: found {self.heads}, wanted a divisor of embedding_dim {self.embedding_dim}")
        for key in self._unread():
            if getattr(self, key) != type(self).model_fields[key].default:
                choice, readers = READ_WITH[key]
                found = getattr(self, choice) or "left to default"
                raise ValueError(f"{key}: found it with {choice} {found}, wanted {' or '.join(readers)}")
        return self

    @model_serializer(mode="wrap")
    def _what_is_read(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the defaults that nothing reads: a release must not be refused for one of them by a version with another."""
        unread = self._unread()
        return {key: value for key, value in dump(self).items() if key not in unread}

    def _unread(self) -> list[str]:
        return [key for key, (choice, readers) in READ_WITH.items() if getattr(self, choice) not in readers]


class IndexConfig(Settings):
    min_recall: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="least recall@100 of ScaNN against the exact index; ScaNN is tuned to reach it with the least effort",
    )
    max_leaf_share: float = Field(
        default=0.5, gt=0, le=1, description="of the leaves of ScaNN's tree that one search may go through, to bound its time"
    )
    exact_below: int = Field(default=2_000, ge=0, description="a catalogue smaller than this is searched exhaustively by ScaNN")


class RankingConfig(TrainingConfig):
    model: RankerSettings = Field(default=DcnV2Settings(), description="a ranker's name, or its name and its own settings")
    heads: HeadsSettings = Field(default=SingleHeadSettings(), description="how the tasks share the ranker: as `model`")
    embedding_dim: int = Field(default=16, ge=2, le=1024, description="of the embedding of each feature")
    calibration: Literal["platt", "isotonic", "none"] = Field(
        default="platt", description="makes the binary tasks' predictions rates, fitted on the validation split"
    )
    calibration_slice: str | None = Field(
        default=None,
        description="a categorical feature of users or a context column: each value with 500 samples in the validation split, "
        "50 of either outcome, is calibrated for itself",
    )
    negatives: int = Field(
        default=20, ge=1, le=500, description="drawn from what recall returns, where nothing was logged as shown"
    )
    candidates: int = Field(default=300, ge=1, description="how many recalled items are ranked")
    epochs: int = Field(default=10, ge=1)
    stop_on: Literal["ndcg", "auc"] = Field(
        default="ndcg",
        description="the validation metric that training is stopped by: NDCG@10 of the funnel, or AUC of the positive task's "
        "predictions, which needs negatives that were observed",
    )


class EvaluationConfig(Settings):
    k: tuple[int, ...] = (10, 50, 100)
    max_queries: int = Field(default=20_000, ge=1, description="test moments judged; drawn with a seed when there are more")
    exclude_seen: bool = Field(default=True, description="never recommend what the user has already had")
    min_ratio_to_popularity: float | None = Field(
        default=None,
        ge=0,
        description="of the popular items' NDCG@10; default: 1, or 0 where impressions were logged, as only what was shown "
        "could be clicked on, and popular items were shown most",
    )
    min_ratio_to_previous: float = Field(default=0.98, ge=0, description="of the last release's metric")
    min_auc: float = Field(default=0.5, ge=0, le=1, description="of each task whose outcomes were observed, on the test split")
    slices: tuple[str, ...] = Field(default=(), description="features whose values get their own metrics")


class BulkConfig(Settings):
    users: Literal["all", "none"] = "all"
    length: int = Field(default=20, ge=1, le=1000)


class PipelineConfig(Settings):
    """Everything ``winnow run`` reads."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    description: str = ""
    dataset: DatasetConfig
    samples: SamplesConfig = SamplesConfig()
    validation: ValidationConfig = ValidationConfig()
    item_to_item: ItemToItemSettings = CosineSettings()
    retrieval: RetrievalConfig = RetrievalConfig()
    index: IndexConfig = IndexConfig()
    ranking: RankingConfig = RankingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    bulk: BulkConfig = BulkConfig()
    tuning: TuningConfig | None = Field(default=None, description="settings to search for before the models are trained")

    @property
    def positive_task(self) -> str:
        return self.samples.positive or next(iter(self.dataset.tasks))

    @property
    def min_ratio_to_popularity(self) -> float:
        asked = self.evaluation.min_ratio_to_popularity
        return asked if asked is not None else float(self.samples.impressions is None)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        tasks = self.dataset.tasks
        task = tasks.get(self.positive_task)
        if task is None:
            raise ValueError(f"samples.positive: found {self.samples.positive!r}, wanted one of dataset.tasks: {sorted(tasks)}")
        if task.kind != "binary":
            raise ValueError(f"samples.positive: task {self.positive_task!r} is {task.kind}, wanted a binary one")
        if self.retrieval.loss in FROM_PROPENSITIES and (
            self.samples.impressions is None or self.dataset.events.columns.propensity is None
        ):
            raise ValueError(
                f"retrieval.loss: {self.retrieval.loss} needs samples.impressions and dataset.events.columns.propensity"
            )
        for key, meaning in (("weight", "nothing would be learnt"), ("score_weight", "no list would have an order")):
            if not any(getattr(each, key) for each in tasks.values()):
                raise ValueError(f"dataset.tasks: found {key} 0 in all of {sorted(tasks)}, wanted one above 0: {meaning}")
        # Nodes are given the sections that they read: of one that is not there nothing is known.
        has_towers = "retrieval" in self.model_fields_set
        if has_towers and self.samples.train_on == "windows" and self.retrieval.query_tower == "pooled":
            raise ValueError(
                "samples.train_on: found windows with retrieval.query_tower pooled, which learns from single events; wanted "
                "events, or self_attention or gru"
            )
        if self.samples.impressions is None:
            following = sorted(name for name, other in tasks.items() if other.after is not None)
            if following:
                raise ValueError(
                    f"dataset.tasks.{following[0]}.after: needs samples.impressions, as a probability of both outcomes is "
                    "one of an impression"
                )
            needing = sorted(name for name, other in tasks.items() if other.event is not None)
            if needing and self.dataset.events.columns.type is None:
                raise ValueError(
                    f"dataset.tasks.{needing[0]}.event: there is no dataset.events.columns.type to tell events apart"
                )
        elif self.samples.split.kind == "random":
            raise ValueError(
                "samples.split.kind: found random with samples.impressions, wanted time: a request is shown as one"
            )
        elif self.dataset.events.columns.type is None:
            raise ValueError("samples.impressions needs dataset.events.columns.type, which says the type of each event")
        elif self.dataset.events.columns.request_id is None:
            raise ValueError(
                "samples.impressions needs dataset.events.columns.request_id, which joins an outcome to its impression"
            )
        else:
            certain = sorted(
                name for name, each in tasks.items() if each.event is None and each.when is None and each.kind == "binary"
            )
            if certain:
                raise ValueError(
                    f"dataset.tasks.{certain[0]}: is true of every impression (samples.impressions); wanted the "
                    "outcome that it asks for, such as event: click"
                )
        if 10 not in self.evaluation.k:
            raise ValueError(
                f"evaluation.k: found {list(self.evaluation.k)}, wanted 10 among them: NDCG@10 is what releases are judged by"
            )
        known = {
            *self.dataset.item_features,
            *self.dataset.user_features,
            *self.dataset.context,
            *self.dataset.events.context,
        }
        for name in self.evaluation.slices:
            if name not in known:
                raise ValueError(f"evaluation.slices: found {name!r}, wanted a feature: {sorted(known)}")
        if self.ranking.stop_on == "auc" and self.samples.impressions is None and task.when is None:
            raise ValueError(
                f"ranking.stop_on: found auc, but all negatives of task {self.positive_task!r} are drawn; wanted ndcg, or "
                "samples.impressions, or a task with `when`"
            )
        by, categories = self.ranking.calibration_slice, self.dataset.request_categories
        if by is not None and self.ranking.calibration == "none":
            raise ValueError(f"ranking.calibration_slice: found {by!r} and no calibration, wanted platt or isotonic with it")
        if by is not None and by not in categories:
            raise ValueError(
                f"ranking.calibration_slice: found {by!r}, wanted a category that a request brings: {sorted(categories)}"
            )
        return self

    @model_validator(mode="after")
    def _searched_values_are_possible(self) -> Self:
        if self.tuning is None:
            return self
        document = self.model_dump(exclude={"tuning"})
        for section, space in self.tuning.spaces():
            for key, searched in space.items():
                for value in searched.examples:
                    try:
                        type(getattr(self, section)).model_validate(with_values(document, section, {key: value})[section])
                    except ValidationError as error:
                        problem = error.errors()[0]
                        at = ".".join(str(part) for part in problem["loc"])
                        raise ValueError(
                            f"tuning.{section}.{key}: {section} cannot have {value!r}: {at}: {problem['msg']}"
                        ) from error
        return self
