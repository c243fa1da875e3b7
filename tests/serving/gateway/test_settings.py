"""The gateway's settings file: what it takes, and the message for each thing that can be wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import DatasetConfig, load_settings, parse_settings
from components.errors import ConfigError
from serving.gateway.command_line import main
from serving.gateway.settings import GatewaySettings

EXAMPLE = Path(__file__).resolve().parents[3] / "infra/config/gateway/movielens-100k.yaml"
MOVIES = Path(__file__).resolve().parents[3] / "infra/config/movielens-100k.yaml"
DATASET = DatasetConfig.model_validate(
    {
        "events": {"path": "e.csv", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
        "items": {
            "path": "i.csv", "id": "i",
            "features": {
                "genres": {"column": "g", "kind": "multi_valued"}, "year": {"column": "y", "kind": "number"},
                "words": {"column": "w", "kind": "text"},
            },
        },
        "tasks": {"click": {}},
    }
)  # fmt: skip


def parsed(raw: Any) -> GatewaySettings:
    return parse_settings(yaml.safe_dump(raw), "gateway.yaml", GatewaySettings)


def test_the_example_fits_the_example_data_set() -> None:
    settings = load_settings(EXAMPLE, GatewaySettings, "")
    settings.check(DatasetConfig.model_validate(yaml.safe_load(MOVIES.read_text())["dataset"]))
    assert settings.rerank.diversity is not None
    assert settings.rerank.caps


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "gateway.yaml: found a str, wanted a mapping with any of the keys deadline_ms, budgets_ms, limits, quotas"),
        ({"deadline": 5}, "  deadline: unknown key; did you mean deadline_ms?"),
        ({"deadline_ms": 0}, "  deadline_ms: found 0, input should be greater than 0"),
        ({"quotas": {"two_towers": 5}}, "  quotas: unknown sources ['two_towers']; wanted some of: two_tower,"),
        ({"quotas": {"popular": -1}}, "  quotas.popular: found -1, input should be greater than or equal to 0"),
        ({"quotas": {"two_tower": 5}}, "  quotas: found two_tower, of which a new visitor may get nothing when the models"),
        ({"experiments": {"a": {"x": {}}}}, "  (whole file): experiments.a: found 1 arms, wanted at least two"),
        (
            {"experiments": {name: {"x": {}, "y": {"rerank": {}}} for name in "ab"}},
            "  (whole file): experiments: several change rerank; wanted one experiment, with an arm for each choice",
        ),
        (
            {"experiments": {name: {"x": {}, "y": {}} for name in "abcdefg"}},
            "  (whole file): experiments: their arms can be combined in 128 ways, wanted at most 64",
        ),
        (
            {"experiments": {"a": {"x": {}, "y": {"share": 0}}}},
            "  experiments.a.y.share: found 0, input should be greater than",
        ),
        (
            {"experiments": {"a": {"x": {}, "y": {"deadline_ms": 9}}}},
            "  experiments.a.y.deadline_ms: unknown key; wanted one of:",
        ),
        ({"rerank": {"divers": {}}}, "  rerank.divers: unknown key; did you mean diversity?"),
        ({"rerank": {"diversity": {"method": "mrr"}}}, "  rerank.diversity.method: found 'mrr', input should be 'mmr' or"),
        ({"rerank": {"caps": [{"feature": "a", "mots": 3}]}}, "  rerank.caps.0.mots: unknown key; did you mean most?"),
        ({"rerank": {"combination": {"click": {"wait": 1}}}}, "  rerank.combination.click.wait: unknown key; did you mean"),
        ({"rerank": {"rules": [{"feature": "a"}]}}, "  rerank.rules.0: a rule on a wanted either at_least and at_most, or"),
        (
            {"rerank": {"rules": [{"feature": "a", "at_least": 1, "deny": ["x"]}]}},
            "  rerank.rules.0: a rule on a wanted either at_least and at_most, or allow and deny",
        ),
        ({"rerank": {"banned": [242]}}, "  rerank.banned.0: found 242, input should be a valid string"),
        ({"rerank": {"banned": ["a"], "pinned": {"a": 1}}}, "  rerank: ['a'] are both pinned and banned"),
        ({"rerank": {"pinned": {"a": 0}}}, "  rerank: pinned: ['a'] have a place below 1"),
        ({"rerank": {"pinned": {"a": 2, "b": 2}}}, "  rerank: pinned: several items have the places [2]; wanted one item a"),
    ],
)
def test_a_wrong_key_is_named(raw: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parsed(raw)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("rerank", "message"),
    [
        (
            {"combination": {"clik": {"weight": 1}}},
            "rerank.combination.clik: the release has no task 'clik'; did you mean click?",
        ),
        (
            {"caps": [{"feature": "colour", "most": 1}]},
            "rerank.caps.0.feature: the release has no item feature 'colour'; it has: genres, year, words",
        ),
        (
            {"caps": [{"feature": "year", "most": 1}]},
            "rerank.caps.0.feature: year is of kind number; wanted a feature of kind categorical or id or multi_valued",
        ),
        (
            {"rules": [{"feature": "words", "deny": ["x"]}, {"feature": "genres", "at_most": 1}]},
            "rerank.rules.1.feature: genres is of kind multi_valued; wanted a feature of kind number",
        ),
        (
            {"rules": [{"feature": "year", "deny": ["1990"]}]},
            "rerank.rules.0.feature: year is of kind number; "
            "wanted a feature of kind categorical or id or multi_valued or text",
        ),
    ],
)
def test_what_the_release_lacks_is_named(rerank: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parsed({"rerank": rerank}).check(DATASET)
    assert str(error.value) == message
    with pytest.raises(ConfigError) as error:
        parsed({"experiments": {"e": {"control": {}, "new": {"rerank": rerank}}}}).check(DATASET)
    assert str(error.value) == f"experiments.e.new.{message}"


def test_an_arm_changes_what_it_names() -> None:
    settings = parsed(
        {
            "quotas": {"popular": 7},
            "rerank": {"banned": ["x"]},
            "experiments": {
                "sources": {"control": {}, "fresh": {"quotas": {"fresh": 9}}},
                "strategy": {"control": {}, "free": {"rerank": {}}},
            },
        }
    )
    assert settings.with_arms({"sources": "control", "strategy": "control"}) == settings
    chosen = settings.with_arms({"sources": "fresh", "strategy": "free"})
    assert chosen.quotas == {"fresh": 9}
    assert chosen.rerank.banned == frozenset()


def test_the_command_refuses_a_wrong_file_before_it_starts_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    for text, message in (("deadline: 3", "deadline: unknown key"), ("", "found an empty file")):
        file.write_text(text)
        assert main(["--workdir", str(tmp_path), "--settings", str(file)]) == 2
        assert message in capsys.readouterr().err
    assert main(["--workdir", str(tmp_path), "--settings", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: cannot be read (No such file or directory); wanted a YAML file" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["gateway.yaml"]
