"""The routes of single items."""

from typing import Annotated

from fastapi import FastAPI, Path, Query

from serving.gateway.access import requires
from serving.gateway.item_api import ItemBody, ItemReply, SimilarReply
from serving.gateway.keys import Role
from serving.gateway.service import Gateway

ItemId = Annotated[str, Path(min_length=1, max_length=256)]


def add_item_routes(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/v1/items/{item_id:path}/similar", summary="The items nearest to an item", dependencies=requires(Role.RECOMMEND))
    def similar(item_id: ItemId, count: Annotated[int, Query(ge=1, le=100)] = 10) -> SimilarReply:
        return gateway.similar(item_id, count)

    @app.put(
        "/v1/items/{item_id:path}", summary="Put an item in, or in the place of another", dependencies=requires(Role.ADMIN)
    )
    def put(item_id: ItemId, item: ItemBody) -> ItemReply:
        return gateway.put_item(item_id, item)

    @app.delete(
        "/v1/items/{item_id:path}", status_code=204, summary="Never show an item again", dependencies=requires(Role.ADMIN)
    )
    def delete(item_id: ItemId) -> None:
        gateway.delete_item(item_id)
