"""The artifacts that winnow adds to TFX's own. Their names are stored with every run: renaming one is a migration.

What a node notes of one is a custom property: TFX compiles no declared property of another's type for Kubeflow Pipelines.
"""

from tfx.types.artifact import Artifact


class EventLog(Artifact):
    """Events by UTC day, rejects and a summary (``components.schema.events``)."""

    TYPE_NAME = "winnow.EventLog"


class Catalogue(Artifact):
    """Items and users with their features (``components.schema.catalogue``)."""

    TYPE_NAME = "winnow.Catalogue"


class FeatureSnapshot(Artifact):
    """What the online store starts from: each user's state after the last event, and the training interactions."""

    TYPE_NAME = "winnow.FeatureSnapshot"


class BusinessStatistics(Artifact):
    """Tables for people: daily actives, events by type, top items, coverage."""

    TYPE_NAME = "winnow.BusinessStatistics"


class ValidationReport(Artifact):
    """The anomalies found, by severity."""

    TYPE_NAME = "winnow.ValidationReport"


class ItemIndex(Artifact):
    """Item vectors, the ScaNN index over them, and its recall against the exact index."""

    TYPE_NAME = "winnow.ItemIndex"


class ItemNeighbours(Artifact):
    """Which items go with which, with a score (``components.item_to_item.neighbours``)."""

    TYPE_NAME = "winnow.ItemNeighbours"


class FunnelEvaluation(Artifact):
    """Metrics of the whole funnel beside the baselines, and the verdict."""

    TYPE_NAME = "winnow.FunnelEvaluation"


class ReleaseCheck(Artifact):
    """What a real server process answered from the release candidate."""

    TYPE_NAME = "winnow.ReleaseCheck"


class Release(Artifact):
    """The published bundle, or the reasons why there is none."""

    TYPE_NAME = "winnow.Release"


class RecommendationLists(Artifact):
    """Precomputed lists, a row a user."""

    TYPE_NAME = "winnow.RecommendationLists"
