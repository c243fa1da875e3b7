"""The names under which artifacts are stored with every run: a change of one is a migration."""

import inspect

from components.schema import artifact_types


def test_names_are_those_of_stored_runs() -> None:
    own = [
        kind for _, kind in inspect.getmembers(artifact_types, inspect.isclass) if kind.__module__ == artifact_types.__name__
    ]
    assert sorted(kind.TYPE_NAME for kind in own) == [
        "winnow.BusinessStatistics",
        "winnow.Catalogue",
        "winnow.EventLog",
        "winnow.FeatureSnapshot",
        "winnow.FunnelEvaluation",
        "winnow.ItemIndex",
        "winnow.ItemNeighbours",
        "winnow.RecommendationLists",
        "winnow.Release",
        "winnow.ReleaseCheck",
        "winnow.ValidationReport",
    ]
    assert all(f"winnow.{kind.__name__}" == kind.TYPE_NAME for kind in own)
