"""`/similar` and `/recommendations`: who gets what, and never what they have."""

from fastapi.testclient import TestClient

from tests.api.conftest import Statements
from tests.catalogue import TOY_STORY, TOY_STORY_2, TOY_STORY_3


def ids(client: TestClient, path: str, **params: object) -> list[int]:
    """The ids of a list, in order."""
    response = client.get(path, params=params)
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()["results"]]


def test_a_franchise_stands_on_top(client: TestClient) -> None:
    assert set(ids(client, f"/similar/{TOY_STORY}", n=2)) == {TOY_STORY_2, TOY_STORY_3}


def test_an_answer_is_one_statement(client: TestClient, statements: Statements) -> None:
    ids(client, f"/similar/{TOY_STORY}")
    assert len(statements) == 1
