"""People with names: found again by whoever asks who is watching, named anew, and gone when they are erased."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.answers import act, assert_problem, get, rows
from tests.catalogue import MATRIX, TOY_STORY


def meet(client: TestClient, name: str) -> dict[str, Any]:
    """Somebody new."""
    response = client.post("/people", json={"name": name})
    assert response.status_code == 200, response.text
    person: dict[str, Any] = response.json()
    return person


def test_a_person_who_is_added_is_listed_after_those_before(client: TestClient) -> None:
    ada, bob = meet(client, "Ada"), meet(client, "Bob")
    assert (ada["name"], ada["interactions"]) == ("Ada", 0)
    assert rows(client, "/people") == [ada, bob]


def test_two_may_be_called_the_same(client: TestClient) -> None:
    first, second = meet(client, "Ada"), meet(client, "Ada")
    assert first["user_id"] != second["user_id"]
    assert [person["name"] for person in rows(client, "/people")] == ["Ada", "Ada"]


def test_a_list_tells_how_much_each_did(client: TestClient) -> None:
    ada = meet(client, "Ada")["user_id"]
    act(client, TOY_STORY, user_id=ada)
    act(client, MATRIX, "rating", user_id=ada)
    client.post("/interactions", json={"user_id": ada, "movie_id": 424242, "kind": "like"})
    assert [person["interactions"] for person in rows(client, "/people")] == [3]
    assert len(rows(client, f"/users/{ada}/interactions")) == 3


def test_whoever_came_without_a_name_is_not_listed_until_they_have_one(client: TestClient) -> None:
    act(client, TOY_STORY, user_id="17")
    assert rows(client, "/people") == []
    named = client.patch("/people/17", json={"name": "Grace"})
    assert named.json() == {"user_id": "17", "name": "Grace", "interactions": 1}
    assert rows(client, "/people") == [named.json()]


def test_a_name_can_be_changed(client: TestClient) -> None:
    ada = meet(client, "Ada")["user_id"]
    assert client.patch(f"/people/{ada}", json={"name": " Ada L. "}).json()["name"] == "Ada L."
    assert [person["name"] for person in rows(client, "/people")] == ["Ada L."]


def test_nobody_is_made_by_a_new_name(client: TestClient) -> None:
    response = client.patch("/people/nobody", json={"name": "Ada"})
    assert_problem(response, 404, field="user_id", code="person_not_found")
    assert rows(client, "/people") == []


@pytest.mark.parametrize("name", ["x" * 60, "Зоя", "نازنین", "山田 太郎", "O'Brien; DROP TABLE users", "<b>&amp;"])
def test_a_name_comes_back_as_it_was_given(client: TestClient, name: str) -> None:
    assert meet(client, name)["name"] == name
    assert [person["name"] for person in rows(client, "/people")] == [name]


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\0b", "two\nlines", 7, None, ["Ada"]])
def test_what_is_no_name_is_refused(client: TestClient, name: Any) -> None:
    ada = meet(client, "Ada")["user_id"]
    assert_problem(client.post("/people", json={"name": name}), 422, field="name")
    assert_problem(client.patch(f"/people/{ada}", json={"name": name}), 422, field="name")
    assert [person["name"] for person in rows(client, "/people")] == ["Ada"]


def test_a_name_is_exported_and_erased_with_its_person(client: TestClient) -> None:
    ada = meet(client, "Ada")["user_id"]
    assert get(client, f"/users/{ada}/export")["name"] == "Ada"
    assert client.delete(f"/users/{ada}").json() == {"deleted": 1}
    assert rows(client, "/people") == []
    assert_problem(client.get(f"/users/{ada}/export"), 404)


def test_someone_new_is_recommended_films_like_anyone(client: TestClient) -> None:
    ada = meet(client, "Ada")["user_id"]
    assert get(client, f"/recommendations/{ada}")["cold_start"] is True
    act(client, TOY_STORY, user_id=ada)
    answer = get(client, f"/recommendations/{ada}")
    assert answer["cold_start"] is False
    assert TOY_STORY not in [row["id"] for row in answer["results"]]
