"""What a request can be refused for besides its form.

RefusedError
├── UnfitRequestError    it does not fit the release that it meets: a feature is unknown, a value of another kind
└── UnknownItemError     it asks of an item that is not there
"""

from components.errors import WinnowError


class RefusedError(WinnowError):
    pass


class UnfitRequestError(RefusedError):
    """Attributes: where: the path of the field, from the body on."""

    def __init__(self, where: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.where = where


class UnknownItemError(RefusedError):
    def __init__(self, item_id: str, version: int) -> None:
        super().__init__(f"item {item_id!r} is neither in release {version} nor among the items put in since")
