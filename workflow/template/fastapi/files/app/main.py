"""The HTTP API of {{app_name}}."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, status

from app.items import Item, ItemStore, NewItem


def get_store(request: Request) -> ItemStore:
    """Return the store that create_app put on the application."""
    store: ItemStore = request.app.state.store
    return store


Store = Annotated[ItemStore, Depends(get_store)]


def create_app() -> FastAPI:
    """Return an application with an empty store of its own, so that tests do not share items."""
    app = FastAPI(title="{{app_name}}")
    app.state.store = ItemStore()

    @app.get("/")
    async def index() -> dict[str, str]:
        return {"name": "{{app_name}}", "documentation": "/docs"}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    @app.get("/items")
    async def list_items(store: Store) -> list[Item]:
        return store.all()

    @app.post("/items", status_code=status.HTTP_201_CREATED)
    async def create_item(new: NewItem, store: Store) -> Item:
        return store.add(new)

    @app.get("/items/{item_id}")
    async def read_item(item_id: int, store: Store) -> Item:
        item = store.get(item_id)
        if item is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no item {item_id}.")
        return item

    @app.delete("/items/{item_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete_item(item_id: int, store: Store) -> None:
        if not store.remove(item_id):
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no item {item_id}.")

    return app


app = create_app()
