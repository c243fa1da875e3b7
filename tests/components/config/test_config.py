"""The settings: defaults, paths, and the message for each thing that can be wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import FeatureKind, FileFormat, PipelineConfig, RetrievalConfig, load_config, parse_config
from components.errors import ConfigError
from components.features.item import NAMES
from components.schema import samples as names


def minimal() -> dict[str, Any]:
    return {
        "name": "shop",
        "dataset": {
            "events": {"path": "e.csv", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
            "tasks": {"interact": {}},
        },
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """The minimal settings with the value at a dotted path, or without it (None)."""
    raw = minimal()
    section = raw
    *parents, last = path.split(".")
    for key in parents:
        section = section.setdefault(key, {})
    if value is None:
        del section[last]
    else:
        section[last] = value
    return raw


def item_feature(feature: dict[str, Any]) -> dict[str, Any]:
    """An item table with this one feature."""
    return {"path": "i.csv", "id": "i", "features": {"a": feature}}


def parsed(raw: dict[str, Any]) -> PipelineConfig:
    return parse_config(yaml.safe_dump(raw), origin="shop.yaml")


def refusal(raw: dict[str, Any] | str) -> str:
    with pytest.raises(ConfigError) as error:
        parse_config(raw if isinstance(raw, str) else yaml.safe_dump(raw), origin="shop.yaml")
    assert error.value.exit_code == 2
    return str(error.value)


def test_defaults() -> None:
    config = parsed(minimal())
    events = config.dataset.events
    assert (events.format, events.delimiter, events.quote) == (FileFormat.CSV, ",", '"')
    assert (events.timestamp_unit, events.type) == ("s", "event")
    assert (events.late_after_s, events.max_reject_share) == (3600, 0.01)
    assert config.dataset.context == ("hour", "weekday")
    assert (config.dataset.items, config.dataset.users) == (None, None)
    assert (config.dataset.item_features, config.dataset.user_features) == ({}, {})
    assert config.dataset.tasks["interact"].weight == 1.0
    assert config.positive_task == "interact"
    assert config.samples.impressions is None
    assert (config.samples.split.kind, config.samples.split.eval, config.samples.split.test) == ("time", 0.1, 0.1)
    assert config.validation.stop_at == "error"


def test_json_round_trip() -> None:
    """The nodes of the pipeline are given the settings as JSON."""
    raw = minimal()
    raw["dataset"]["items"] = item_feature({"column": "t", "kind": "multi_valued"})
    raw["samples"] = {"split": {"kind": "leave_last_out"}, "history_types": ["add-to-cart"]}
    config = parsed(raw)
    assert parse_config(config.model_dump_json(), origin="node") == config
    assert config.dataset.item_features["a"].kind is FeatureKind.MULTI_VALUED


def test_a_release_does_not_hold_defaults_that_nothing_reads() -> None:
    """A version with other defaults would find them set, and refuse them."""
    unread = {"loss_negatives", "loss_hardest", "loss_calibration", "loss_top_k", "loss_weight_cap", "loss_ips_cap"}
    full, sampled = (RetrievalConfig(loss=loss).model_dump() for loss in ("full", "sampled"))
    assert not full.keys() & {*unread, "blocks", "heads"}
    assert sampled.keys() & unread == {"loss_negatives", "loss_hardest"}
    assert RetrievalConfig.model_validate(full) == RetrievalConfig(loss="full")
    assert {"blocks", "heads"} <= RetrievalConfig(query_tower="self_attention").model_dump().keys()


def test_a_model_is_named_with_or_without_settings() -> None:
    short = parsed(changed("ranking", {"model": "din", "heads": "mmoe"})).ranking
    assert short == parsed(changed("ranking", {"model": {"name": "din"}, "heads": {"name": "mmoe"}})).ranking
    longer = changed("ranking", {"model": {"name": "din", "attention_hidden": [64, 16]}, "calibration": "isotonic"})
    config = parsed(longer)
    assert config.ranking.model.model_dump()["attention_hidden"] == (64, 16)
    assert parse_config(config.model_dump_json(), origin="node") == config


def test_relative_paths_count_from_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    raw = minimal()
    raw["dataset"]["events"]["path"] = "../data/events-*.csv"
    raw["dataset"]["users"] = {"path": str(tmp_path / "users.csv"), "id": "u"}
    (tmp_path / "configs" / "shop.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(tmp_path / "configs")
    for path in (tmp_path / "configs" / "shop.yaml", Path("shop.yaml")):
        dataset = load_config(path).dataset
        assert dataset.events.path == tmp_path / "data" / "events-*.csv"
        assert dataset.users is not None
        assert dataset.users.path == tmp_path / "users.csv"


def test_missing_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "no.yaml")
    assert str(error.value) == (
        f"{tmp_path / 'no.yaml'}: cannot be read (No such file or directory); wanted a YAML config, as `winnow init` writes"
    )


def test_config_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match=r"c.yaml: is not UTF-8 text \(byte 6\)"):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "shop.yaml: found an empty file, wanted a mapping with the keys name and dataset"),
        ("- a", "shop.yaml: found a list, wanted a mapping with the keys name and dataset"),
        ("a: [", "shop.yaml: is not valid YAML: "),
        ("name: a\nname: b", "shop.yaml: is not valid YAML: the key 'name' is given twice"),
    ],
)
def test_no_yaml_mapping(text: str, wanted: str) -> None:
    assert refusal(text).startswith(wanted)


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        # unknown and misspelt keys
        ("dataset.events.colums", {}, "@: unknown key; did you mean columns?"),
        ("dataset.tasks.interact.wen", "x", "@: unknown key; did you mean when?"),
        ("dataset.items", {"path": "i", "id": "i", "titel": "t"}, "@.titel: unknown key; did you mean title?"),
        ("dataset.items", item_feature({"column": "a", "kind": "text", "seperator": ","}),
         "@.features.a.seperator: unknown key; did you mean separator?"),
        ("dataset.events.context", {"device": {"colum": "d"}}, "@.device.colum: unknown key; did you"),
        ("samples.split", {"share": 1}, "@.share: unknown key; wanted one of: kind, eval, test"),
        ("frobnicate", 1, "@: unknown key; wanted one of: name, description, dataset, samples, validation,"),
        # missing keys
        ("dataset", None, "@: is missing, and has no default"),
        ("dataset.events.columns.user_id", None, "@: is missing, and has no default"),
        ("dataset.tasks", {}, "@: found {}, dictionary should have at least 1 item"),
        # wrong types and values
        ("name", "My Shop", "@: found 'My Shop', string should match pattern"),
        ("dataset.events.timestamp_unit", "minutes", "@: found 'minutes', input should be 's', 'ms'"),
        ("dataset.events.format", "xlsx", "@: found 'xlsx', input should be 'csv', 'parquet' or 'jsonl'"),
        ("dataset.events.delimiter", "::", "@: found '::', string should have at most 1 character"),
        ("dataset.events.max_reject_share", 2, "@: found 2, input should be less than or equal"),
        ("dataset.events.late_after_s", "soon", "@: found 'soon', input should be a valid integer"),
        ("dataset.tasks", {"Like": {}}, "@.Like: found 'Like', string should match pattern"),
        ("dataset.tasks", {"like": {"weight": float("nan")}}, "@.like.weight: found nan, input should be a finite"),
        ("dataset.context", ["month"], "@.0: found 'month', input should be 'hour' or 'weekday'"),
        ("samples.split", {"eval": 0.5}, "@.eval: found 0.5, input should be less than 0.5"),
        ("samples.negatives", -1, "@: found -1, input should be greater than or equal to 0"),
        ("dataset.events", "e.csv", "@: found 'e.csv', input should be a valid dictionary or instance of"),
        # fields that do not go together
        ("dataset.tasks", {"like": {"when": "value => 4"}},
         "@.like: found 'value => 4', wanted a comparison of the value, such as 'value >= 4'"),
        ("dataset.tasks", {"like": {"when": "value > 4", "kind": "regression"}},
         "@.like: a regression task predicts the value itself and takes no `when`"),
        ("dataset.items", item_feature({"column": "a", "kind": "text", "separator": ","}),
         "@.features.a: separator belongs to kind multi_valued, not to text"),
        ("dataset.items", item_feature({"column": "a", "kind": "number", "values": ["1"]}),
         "@.features.a: values belongs to kinds categorical and multi_valued, not to number"),
        ("dataset.items", item_feature({"column": "a", "kind": "id", "min": 1}),
         "@.features.a: min and max belong to kind number, not to id"),
        # models and heads with settings of their own
        ("ranking.model", "dcn", "@: found {'name': 'dcn'}, input tag 'dcn' found using 'name' does not match"),
        ("ranking.model", {"name": "din", "hiden": [8]}, "@.din.hiden: unknown key; did you mean hidden?"),
        ("ranking.model", {"name": "mf", "hidden": [8]}, "@.mf.hidden: unknown key; wanted one of: name"),
        ("ranking.model", {"name": "din", "attention_hidden": []}, "@.din.attention_hidden: found [], tuple should have at"),
        ("ranking.model", {"hidden": [8]}, "@: found {'hidden': [8]}, unable to extract tag using discriminator 'name'"),
        ("ranking.heads", {"name": "mmoe", "experts": 0}, "@.mmoe.experts: found 0, input should be greater than 0"),
        ("ranking.hidden", [8], "@: unknown key; "),
        ("retrieval", {"query_tower": "gru", "loss": "mixed"},
         "@: loss: found mixed, wanted full, sampled or gbce: a batch of sequences holds too many items"),
        ("retrieval", {"query_tower": "self_attention", "loss": "off_policy"}, "a batch of sequences holds no propensities"),
        ("retrieval", {"query_tower": "gru", "loss": "ips"}, "a batch of sequences holds no propensities"),
        ("retrieval", {"query_tower": "self_attention", "heads": 3}, "@: heads: found 3, wanted a divisor of embedding_dim 64"),
        ("retrieval", {"loss_hardest": 5}, "@: loss_hardest: found it with loss left to default, wanted mixed or"),
        ("retrieval", {"loss": "full", "loss_negatives": 50}, "@: loss_negatives: found it with loss full, wanted mixed or"),
        ("retrieval", {"query_tower": "gru", "heads": 4}, "@: heads: found it with query_tower gru, wanted self_attention"),
        ("retrieval", {"hidden": [64, 0]}, "@.hidden.1: found 0, input should be greater than 0"),
        ("dataset.tasks", {"a": {"score_weight": 0}, "b": {"score_weight": 0}},
         "@: found score_weight 0 in all of ['a', 'b'], wanted one above 0: no list would have an order"),
        ("item_to_item", {"kind": "ease", "shrinkage": 5}, "@.ease.shrinkage: unknown key; wanted one of: neighbours, "),
        ("item_to_item", {"l2": 5}, "@: found {'l2': 5}, unable to extract tag using discriminator 'kind'"),
        ("item_to_item", {"kind": "ease", "l2": 0}, "@.ease.l2: found 0, input should be greater than 0"),
        # names that refer to each other
        ("retrieval.loss", "off_policy", "@: off_policy needs samples.impressions and dataset.events.columns.propensity"),
        ("retrieval.loss", "ips", "@: ips needs samples.impressions and dataset.events.columns.propensity"),
        ("dataset.tasks", {"click": {}, "buy": {"after": "clik"}},
         "dataset: tasks.buy.after: found 'clik', wanted another task: ['click']"),
        ("dataset.tasks", {"click": {"after": "buy"}, "buy": {"after": "click"}},
         "dataset: tasks.buy.after: buy after click after buy is a circle; wanted a first task"),
        ("dataset.tasks", {"click": {}, "dwell": {"kind": "regression", "after": "click"}},
         "dataset: tasks.dwell.after: dwell is regression and click is binary; wanted two binary tasks"),
        ("dataset.tasks", {"click": {}, "buy": {"when": "value > 1", "after": "click"}},
         "@.buy.after: needs samples.impressions, as a probability of both outcomes is one of an impression"),
        ("samples.positive", "like", "@: found 'like', wanted one of dataset.tasks: ['interact']"),
        ("dataset.tasks", {"dwell": {"kind": "regression"}}, "task 'dwell' is regression, wanted a binary one"),
        ("dataset.tasks", {"buy": {"event": "buy"}},
         "@.buy.event: there is no dataset.events.columns.type to tell events apart"),
        ("samples.impressions", "shown", "@ needs dataset.events.columns.type, which says the type of each"),
        ("evaluation.slices", ["country"], "@: found 'country', wanted a feature: ['hour', 'weekday']"),
        ("ranking.calibration_slice", "country",
         "@: found 'country', wanted a category that a request brings: ['hour', 'weekday']"),
        ("ranking.stop_on", "auc", "@: found auc, but all negatives of task 'interact' are drawn; wanted ndcg, or"),
        ("ranking", {"calibration": "none", "calibration_slice": "hour"},
         "@.calibration_slice: found 'hour' and no calibration, wanted platt or isotonic with it"),
        ("dataset.events.context", {"hour": {"column": "h"}},
         "dataset: events.context: ['hour'] is also a context that the time of the request gives; wanted another name"),
    ],
)  # fmt: skip
def test_each_wrong_key_is_named_with_what_was_found_and_wanted(path: str, value: Any, wanted: str) -> None:
    message = refusal(changed(path, value))
    assert message.startswith("shop.yaml:\n  ")
    assert wanted.replace("@", path) in message


def test_several_wrong_keys_are_told_at_once() -> None:
    raw = changed("dataset.events.format", "xlsx")
    raw["samples"] = {"seeds": 1}
    assert len(refusal(raw).splitlines()) == 3


def test_a_long_value_is_cut() -> None:
    assert "…, " in refusal(changed("dataset.events.format", "x" * 1000))


def test_windows_are_for_towers_of_sequences() -> None:
    raw = changed("samples.train_on", "windows")
    assert parsed(raw).samples.train_on == "windows"  # as a node has it that reads no more
    raw["retrieval"] = {"query_tower": "gru"}
    assert parsed(raw).retrieval.query_tower == "gru"
    raw["retrieval"] = {"epochs": 3}
    assert "samples.train_on: found windows with retrieval.query_tower pooled, which learns from single events" in refusal(raw)


def test_impressions_need_request_ids_and_outcomes() -> None:
    raw = changed("samples.impressions", "shown")
    raw["dataset"]["events"]["columns"]["type"] = "kind"
    assert "samples.impressions needs dataset.events.columns.request_id, which joins an outcome to its" in refusal(raw)
    raw["dataset"]["events"]["columns"]["request_id"] = "request"
    assert (
        "dataset.tasks.interact: is true of every impression (samples.impressions); wanted the outcome that it asks "
        "for, such as event: click"
    ) in refusal(raw)
    raw["dataset"]["tasks"] = {"click": {"event": "click"}}
    assert parsed(raw).samples.impressions == "shown"


@pytest.mark.parametrize("name", ["item_id", "history_kind", "label_x", "user_count_view", "position"])
def test_a_feature_cannot_take_the_name_of_a_sample_s_own_column(name: str) -> None:
    features = {name: {"column": "c", "kind": "categorical"}}
    message = refusal(changed("dataset.items", {"path": "i", "id": "i", "features": features}))
    assert f"dataset: items.features.{name}: this name is taken by the samples' own columns (item_id, position," in message
    assert "give the feature another one (its column may keep it)" in message


def test_a_feature_is_not_named_by_a_word_of_python() -> None:
    features = {"class": {"column": "class", "kind": "categorical"}}
    message = refusal(changed("dataset.items", {"path": "i", "id": "i", "features": features}))
    assert "dataset: items.features.class: is a word of Python, as which TensorFlow takes no input of a model" in message


@pytest.mark.parametrize(
    ("settings", "item_count", "loss"),
    [
        ({}, 10_000, "full"),
        ({}, 10_001, "in_batch"),
        ({"query_tower": "gru"}, 10_001, "full"),
        ({"loss": "mixed"}, 50, "mixed"),
        ({"loss": "full"}, 50_000, "full"),
    ],
)
def test_the_loss_is_that_which_is_named_or_one_by_the_catalogue(settings: Any, item_count: int, loss: str) -> None:
    assert RetrievalConfig.model_validate(settings).loss_of(item_count) == loss


def test_item_and_user_features_have_different_names() -> None:
    raw = minimal()
    for table in ("items", "users"):
        raw["dataset"][table] = {"path": "p", "id": "i", "features": {"region": {"column": "r", "kind": "categorical"}}}
    assert "dataset: ['region'] names both an item and a user feature; wanted different names" in refusal(raw)


def test_every_column_of_the_samples_is_reserved() -> None:
    """The list in the config, which cannot import the schema, against the schema."""
    from components.config.dataset import RESERVED_NAMES, RESERVED_PREFIXES

    raw = minimal()
    with_impressions = changed("samples.impressions", "shown")
    with_impressions["dataset"]["events"]["columns"] |= {"type": "k", "request_id": "r"}
    with_impressions["dataset"]["tasks"] = {"click": {"event": "click"}}
    for settings in (raw, with_impressions):
        for name in names.feature_spec(parsed(settings), ("view",)):
            assert name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES), name
    assert len(NAMES) == 3


def test_thresholds() -> None:
    raw = minimal()
    raw["dataset"]["tasks"] = {"like": {"when": "value >= 4"}, "bad": {"when": "value<-0.5"}}
    tasks = parsed(raw).dataset.tasks
    assert tasks["like"].threshold == (">=", 4.0)
    assert tasks["bad"].threshold == ("<", -0.5)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parsed(minimal()).name = "other"  # type: ignore[misc]


def test_the_shipped_configs_load() -> None:
    folder = Path(__file__).parents[3] / "infra" / "config"
    configs = [path for path in sorted(folder.glob("*.yaml")) if path.name != "kubeflow.yaml"]  # which is of another kind
    assert configs
    for path in configs:
        load_config(path)
