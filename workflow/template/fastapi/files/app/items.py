"""Items and where they are kept: in memory, so they are gone when the server stops."""

from itertools import count

from pydantic import BaseModel, Field


class NewItem(BaseModel):
    """What a caller sends to create an item."""

    name: str = Field(min_length=1, max_length=200)
    done: bool = False


class Item(NewItem):
    """An item that is stored."""

    id: int


class ItemStore:
    """Items by id, in the order they were added."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._items: dict[int, Item] = {}

    def all(self) -> list[Item]:
        return list(self._items.values())

    def add(self, new: NewItem) -> Item:
        item = Item(id=next(self._ids), name=new.name, done=new.done)
        self._items[item.id] = item
        return item

    def get(self, item_id: int) -> Item | None:
        return self._items.get(item_id)

    def remove(self, item_id: int) -> bool:
        """Remove the item; return whether it was there."""
        return self._items.pop(item_id, None) is not None
