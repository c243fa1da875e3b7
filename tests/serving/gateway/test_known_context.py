"""Context that no data set has is refused, not passed over."""

import pytest

from serving.gateway.errors import UnfitRequestError
from serving.gateway.known_context import check_context


def test_the_columns_of_the_data_set_are_taken_and_need_not_be_given() -> None:
    known = frozenset({"device", "shop"})
    check_context({"device": "phone"}, known)
    check_context({}, known)


@pytest.mark.parametrize(("names", "wanted"), [(("shop", "device"), "one of: device, shop"), ((), "none at all")])
def test_another_one_is_refused_by_its_path(names: tuple[str, ...], wanted: str) -> None:
    with pytest.raises(UnfitRequestError) as refused:
        check_context({"devcie": "phone"}, frozenset(names), ("events", 3))
    assert refused.value.where == ("events", 3, "context", "devcie")
    assert str(refused.value) == f"found 'devcie', wanted {wanted}"
