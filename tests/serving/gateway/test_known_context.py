"""Context that the data set does not have is refused, not passed over."""

import pytest

from components.config import PipelineConfig
from serving.gateway.errors import UnfitRequestError
from serving.gateway.known_context import check_context


def with_context(config: PipelineConfig, *names: str) -> PipelineConfig:
    raw = config.model_dump(exclude_unset=True)
    raw["dataset"]["events"]["context"] = {name: {"column": name} for name in names}
    return PipelineConfig.model_validate(raw)


def test_the_columns_of_the_data_set_are_taken_and_need_not_be_given(config: PipelineConfig) -> None:
    dataset = with_context(config, "device", "shop").dataset
    check_context({"device": "phone"}, dataset)
    check_context({}, dataset)


@pytest.mark.parametrize(("names", "wanted"), [(("device", "shop"), "one of: device, shop"), ((), "none at all")])
def test_another_one_is_refused_by_its_path(config: PipelineConfig, names: tuple[str, ...], wanted: str) -> None:
    with pytest.raises(UnfitRequestError) as refused:
        check_context({"devcie": "phone"}, with_context(config, *names).dataset, ("events", 3))
    assert refused.value.where == ("events", 3, "context", "devcie")
    assert str(refused.value) == f"found 'devcie', wanted {wanted}"
