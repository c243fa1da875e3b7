"""The routes of single items."""

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from fastapi.responses import JSONResponse

from serving.gateway.errors import UnfitRequestError, UnknownItemError
from serving.gateway.item_api import ItemBody, ItemReply, SimilarReply
from serving.gateway.service import Gateway

ItemId = Annotated[str, Path(min_length=1, max_length=256)]
Responses = dict[int | str, dict[str, Any]]
UNKNOWN: Responses = {404: {"description": "there is no such item"}}
ABSENT: Responses = {503: {"description": "the store, or the item tower, does not answer"}}


def add_item_routes(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/v1/items/{item_id:path}/similar", summary="The items nearest to an item", responses=UNKNOWN)
    def similar(item_id: ItemId, count: Annotated[int, Query(ge=1, le=100)] = 10) -> SimilarReply:
        return gateway.similar(item_id, count)

    @app.put("/v1/items/{item_id:path}", summary="Put an item in, or in the place of another", responses=ABSENT)
    def put(item_id: ItemId, item: ItemBody) -> ItemReply:
        return gateway.put_item(item_id, item)

    @app.delete("/v1/items/{item_id:path}", status_code=204, summary="Never show an item again", responses=UNKNOWN | ABSENT)
    def delete(item_id: ItemId) -> None:
        gateway.delete_item(item_id)

    @app.exception_handler(UnfitRequestError)
    def unfit(_: object, error: UnfitRequestError) -> JSONResponse:
        detail = {"type": "value_error", "loc": ["body", *error.where], "msg": str(error)}
        return JSONResponse({"detail": [detail]}, status_code=422)

    @app.exception_handler(UnknownItemError)
    def unknown(_: object, error: UnknownItemError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=404)
