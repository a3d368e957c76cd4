"""The API as a client sees it."""

import pytest
from fastapi.testclient import TestClient

from app.main import create_app


@pytest.fixture
def client() -> TestClient:
    return TestClient(create_app())


def test_the_index_names_the_application(client: TestClient) -> None:
    assert client.get("/").json()["name"] == "{{app_name}}"


def test_health_is_reported(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "healthy"}


def test_a_created_item_can_be_read_and_is_listed(client: TestClient) -> None:
    created = client.post("/items", json={"name": "Buy milk"})
    assert created.status_code == 201
    item = created.json()
    assert client.get(f"/items/{item['id']}").json() == item
    assert client.get("/items").json() == [item]


def test_a_deleted_item_is_gone(client: TestClient) -> None:
    item_id = client.post("/items", json={"name": "Buy milk"}).json()["id"]
    assert client.delete(f"/items/{item_id}").status_code == 204
    assert client.get(f"/items/{item_id}").status_code == 404


def test_an_item_without_a_name_is_refused(client: TestClient) -> None:
    assert client.post("/items", json={"name": ""}).status_code == 422
