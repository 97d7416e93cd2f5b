"""What people do with films is kept exactly, once, and can be undone, exported and erased."""

import datetime as dt
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.feedback.weights import KINDS
from tests.api.answers import JSON, act, assert_problem, get, history, rows, send
from tests.api.conftest import Films, RowCounts
from tests.catalogue import DARK_KNIGHT, GODFATHER, MATRIX, TOY_STORY, TOY_STORY_2

LIKE = {"user_id": "ada", "movie_id": TOY_STORY, "kind": "like"}
RATING = LIKE | {"kind": "rating", "value": 4.5}
ABSENT = 424242


def day(number: int) -> str:
    """Some day of a month past, as a client may write it."""
    return f"2024-05-{number:02}T12:00:00+00:00"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_kept(client: TestClient, kind: str) -> None:
    act(client, TOY_STORY, kind)
    (row,) = history(client)
    assert (row["kind"], row["movie_id"], row["title"]) == (kind, TOY_STORY, "Toy Story")
    assert (row["value"], row["pending"]) == (5 if kind == "rating" else None, False)


def test_one_may_stand_for_itself_or_in_a_batch(client: TestClient) -> None:
    assert send(client, LIKE) == {"stored": 1, "pending": [], "rejected": []}
    batch = {"interactions": [LIKE | {"movie_id": MATRIX}, RATING | {"user_id": 7}]}
    assert send(client, batch) == {"stored": 2, "pending": [], "rejected": []}
    assert {row["movie_id"] for row in history(client)} == {TOY_STORY, MATRIX}
    assert history(client, "7")[0]["value"] == 4.5


def test_a_thousand_at_once_are_kept(client: TestClient, row_counts: RowCounts) -> None:
    batch = [LIKE | {"user_id": f"person {number}"} for number in range(1000)]
    assert send(client, {"interactions": batch})["stored"] == 1000
    assert row_counts()["interactions"] == 1000


def test_repeating_is_harmless(client: TestClient) -> None:
    for _ in range(3):
        assert send(client, RATING | {"at": day(1)})["stored"] == 1
    assert send(client, {"interactions": [RATING | {"at": day(1)}] * 5})["stored"] == 5
    assert [row["value"] for row in history(client)] == [4.5]


def test_a_newer_value_replaces_and_an_older_does_not(client: TestClient) -> None:
    send(client, RATING | {"value": 2, "at": day(10)})
    send(client, RATING | {"value": 5, "at": day(11)})
    send(client, RATING | {"value": 1, "at": day(9)})
    assert [(row["value"], row["at"]) for row in history(client)] == [(5, day(11))]


def test_within_a_batch_the_newest_counts_too(client: TestClient) -> None:
    values = [(3, 10), (5, 12), (1, 11)]
    batch = [RATING | {"value": value, "at": day(number)} for value, number in values]
    assert send(client, {"interactions": batch})["stored"] == 3
    assert [row["value"] for row in history(client)] == [5]


def test_kinds_do_not_replace_one_another(client: TestClient) -> None:
    for kind in KINDS:
        act(client, TOY_STORY, kind)
    assert {row["kind"] for row in history(client)} == set(KINDS)


def test_a_time_without_a_zone_is_utc_and_none_is_now(client: TestClient) -> None:
    act(client, TOY_STORY, at="2024-05-01T12:00:00")
    act(client, MATRIX, at="2024-05-01T12:00:00+02:00")
    before = dt.datetime.now(dt.UTC)
    act(client, GODFATHER)
    newest, *others = history(client)
    assert [row["at"] for row in others] == [day(1), "2024-05-01T10:00:00+00:00"]
    assert before <= dt.datetime.fromisoformat(newest["at"]) <= dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("name", [str(TOY_STORY), "tt0114709"])
def test_a_film_may_be_named_by_digits_or_imdb_id(client: TestClient, name: str) -> None:
    act(client, name)
    assert history(client)[0]["movie_id"] == TOY_STORY


@pytest.mark.parametrize(("name", "columns"), [(ABSENT, {}), ("tt4242424", {"imdb_id": "tt4242424"})])
def test_an_absent_film_is_pending_until_it_arrives(
    client: TestClient, add_film: Films, name: int | str, columns: dict[str, Any]
) -> None:
    told = send(client, LIKE | {"movie_id": name, "at": day(1), "position": 3})
    assert told == {"stored": 0, "pending": [name], "rejected": []}
    (row,) = history(client)
    assert row["pending"] is True
    assert name in (row["movie_id"], row["imdb_id"])
    assert get(client, "/recommendations/ada")["cold_start"] is True

    add_film(id=ABSENT, like=TOY_STORY, title="Late Arrival", **columns)
    (row,) = history(client)
    assert (row["pending"], row["movie_id"], row["title"]) == (False, ABSENT, "Late Arrival")
    assert (row["at"], row["position"]) == (day(1), 3)
    assert get(client, "/recommendations/ada")["cold_start"] is False


def test_a_pending_film_said_twice_is_pending_once(client: TestClient) -> None:
    twice = {"interactions": [LIKE | {"movie_id": ABSENT}, LIKE, LIKE | {"movie_id": str(ABSENT)}]}
    assert send(client, twice) == {"stored": 1, "pending": [ABSENT], "rejected": []}
    assert len(history(client)) == 2


NO_NUMBER = float("nan")

BAD_ITEMS: list[tuple[dict[str, Any] | object, str]] = [
    (LIKE | {"kind": "love"}, "kind"),
    (LIKE | {"value": 4}, "value"),
    (LIKE | {"kind": "rating"}, "value"),
    (RATING | {"value": 7}, "value"),
    (RATING | {"value": 0}, "value"),
    (RATING | {"value": NO_NUMBER}, "value"),
    (RATING | {"value": float("inf")}, "value"),
    (RATING | {"value": "many"}, "value"),
    (LIKE | {"movie_id": int("9" * 40)}, "movie_id"),
    (LIKE | {"movie_id": "9" * 40}, "movie_id"),
    (LIKE | {"movie_id": 2**31}, "movie_id"),
    (LIKE | {"movie_id": 0}, "movie_id"),
    (LIKE | {"movie_id": -1}, "movie_id"),
    (LIKE | {"movie_id": 862.5}, "movie_id"),
    (LIKE | {"movie_id": True}, "movie_id"),
    (LIKE | {"movie_id": NO_NUMBER}, "movie_id"),
    (LIKE | {"movie_id": "Toy Story"}, "movie_id"),
    (LIKE | {"movie_id": None}, "movie_id"),
    (LIKE | {"movie_id": [862]}, "movie_id"),
    (LIKE | {"user_id": ""}, "user_id"),
    (LIKE | {"user_id": "a/b"}, "user_id"),
    (LIKE | {"user_id": "\0"}, "user_id"),
    (LIKE | {"user_id": "\ud800"}, "user_id"),
    (LIKE | {"user_id": 2**63}, "user_id"),
    (LIKE | {"user_id": True}, "user_id"),
    (LIKE | {"user_id": 1.5}, "user_id"),
    (LIKE | {"user_id": None}, "user_id"),
    (LIKE | {"at": "2199-01-01T00:00:00Z"}, "at"),
    (LIKE | {"at": "0001-01-01T00:00:00+14:00"}, "at"),
    (LIKE | {"at": "1899-12-31T23:59:59Z"}, "at"),
    (LIKE | {"at": "yesterday"}, "at"),
    (LIKE | {"at": NO_NUMBER}, "at"),
    (LIKE | {"at": 1e300}, "at"),
    (LIKE | {"position": 0}, "position"),
    (LIKE | {"position": 1.5}, "position"),
    (LIKE | {"recommendation_id": "forged"}, "recommendation_id"),
    (LIKE | {"recommendation_id": "\ud800"}, "recommendation_id"),
    (LIKE | {"recommendation_id": "\0"}, "recommendation_id"),
    (LIKE | {"recommendation_id": "x" * 401}, "recommendation_id"),
    (LIKE | {"colour": "red"}, "colour"),
    (LIKE | {"one": 1}, "one"),
    (LIKE | {"\ud800": 1}, "body"),
    ({"movie_id": TOY_STORY, "kind": "like"}, "user_id"),
    ({"user_id": "ada", "kind": "like"}, "movie_id"),
    ({"user_id": "ada", "movie_id": TOY_STORY}, "kind"),
    ({}, "user_id"),
    ([], "body"),
    (None, "body"),
    (862, "body"),
    ("like", "body"),
]


def dumped(body: object) -> bytes:
    """As JSON, with what strict encoders refuse to write: NaN, infinity, half surrogate pairs."""
    return json.dumps(body).encode()


@pytest.mark.parametrize(("item", "field"), BAD_ITEMS, ids=lambda value: repr(value)[-60:])
def test_alone_a_bad_item_is_an_error_and_nothing_is_stored(
    client: TestClient, row_counts: RowCounts, item: object, field: str
) -> None:
    before = row_counts()
    response = client.post("/interactions", content=dumped(item), headers=JSON)
    assert_problem(response, 422, field=field, code="invalid_input")
    assert row_counts() == before


def test_in_a_batch_the_bad_are_named_and_the_others_stored(client: TestClient) -> None:
    items = [item for bad, _ in BAD_ITEMS for item in (bad, RATING | {"user_id": "bob"})]
    content = dumped({"interactions": items})
    told = client.post("/interactions", content=content, headers=JSON).json()
    assert told["stored"] == len(BAD_ITEMS)
    assert [one["index"] for one in told["rejected"]] == list(range(0, len(items), 2))
    assert [one["field"] for one in told["rejected"]] == [field for _, field in BAD_ITEMS]
    assert all(one["code"] and one["message"] for one in told["rejected"])
    assert get(client, "/users/bob/interactions")["total_results"] == 1
    assert history(client) == []


def test_a_batch_of_nothing_but_bad_items_stores_nothing(client: TestClient, row_counts: RowCounts) -> None:
    before = row_counts()
    told = send(client, {"interactions": [LIKE | {"kind": "love"}]})
    assert (told["stored"], told["pending"], len(told["rejected"])) == (0, [], 1)
    assert row_counts() == before


@pytest.mark.parametrize("items", [[], [LIKE] * 1001, "like", None, {"0": LIKE}, 7])
def test_a_batch_has_from_one_to_a_thousand_items(
    client: TestClient, row_counts: RowCounts, items: object
) -> None:
    before = row_counts()
    assert_problem(client.post("/interactions", json={"interactions": items}), 422, field="interactions")
    assert row_counts() == before


def test_history_is_newest_first_and_has_pages(client: TestClient) -> None:
    for number, movie_id in enumerate([TOY_STORY, MATRIX, GODFATHER, ABSENT, DARK_KNIGHT], start=1):
        send(client, LIKE | {"movie_id": movie_id, "at": day(number)})
    newest_first = [DARK_KNIGHT, ABSENT, GODFATHER, MATRIX, TOY_STORY]
    assert [row["movie_id"] for row in history(client)] == newest_first
    second = get(client, "/users/ada/interactions", n=2, page=2)
    assert [row["movie_id"] for row in second["results"]] == [GODFATHER, MATRIX]
    assert (second["page"], second["total_results"], second["total_pages"]) == (2, 5, 3)
    beyond = get(client, "/users/ada/interactions", n=2, page=9)
    assert (beyond["results"], beyond["total_results"]) == ([], 5)


def test_the_history_of_nobody_is_empty(client: TestClient) -> None:
    answer = get(client, "/users/nobody/interactions")
    assert (answer["results"], answer["total_results"], answer["total_pages"]) == ([], 0, 0)


@pytest.mark.parametrize("name", [str(TOY_STORY), "tt0114709"])
def test_what_was_done_with_a_film_can_be_undone(client: TestClient, name: str) -> None:
    for kind in ("like", "watched"):
        act(client, TOY_STORY, kind)
    act(client, MATRIX)
    act(client, TOY_STORY, user_id="bob")
    assert client.delete(f"/users/ada/interactions/{name}").json() == {"deleted": 2}
    assert [row["movie_id"] for row in history(client)] == [MATRIX]
    assert len(history(client, "bob")) == 1


def test_one_kind_can_be_undone(client: TestClient) -> None:
    for kind in ("like", "watched"):
        act(client, TOY_STORY, kind)
    undone = client.delete(f"/users/ada/interactions/{TOY_STORY}", params={"kind": "like"})
    assert undone.json() == {"deleted": 1}
    assert [row["kind"] for row in history(client)] == ["watched"]
    unknown = client.delete(f"/users/ada/interactions/{TOY_STORY}", params={"kind": "love"})
    assert_problem(unknown, 422, field="kind")


@pytest.mark.parametrize("name", [ABSENT, "tt4242424"])
def test_what_is_pending_can_be_undone(client: TestClient, add_film: Films, name: int | str) -> None:
    send(client, LIKE | {"movie_id": name})
    assert client.delete(f"/users/ada/interactions/{name}").json() == {"deleted": 1}
    add_film(id=ABSENT, imdb_id="tt4242424")
    assert history(client) == []


def test_undoing_again_is_harmless(client: TestClient) -> None:
    act(client, TOY_STORY)
    path = f"/users/ada/interactions/{TOY_STORY}"
    assert [client.delete(path).json()["deleted"] for _ in range(3)] == [1, 0, 0]
    assert client.delete(f"/users/nobody/interactions/{TOY_STORY}").json() == {"deleted": 0}


def test_erasing_leaves_nothing_of_a_person(client: TestClient, row_counts: RowCounts) -> None:
    act(client, TOY_STORY, user_id="bob")
    before = row_counts()
    act(client, TOY_STORY)
    act(client, MATRIX, "rating")
    send(client, LIKE | {"movie_id": ABSENT})
    # The person, two interactions, and one that was pending.
    assert client.delete("/users/ada").json() == {"deleted": 4}
    assert row_counts() == before
    assert client.delete("/users/ada").json() == {"deleted": 0}
    assert get(client, "/recommendations/ada")["cold_start"] is True


def test_an_export_is_everything_that_is_held(client: TestClient) -> None:
    act(client, TOY_STORY, "rating", at=day(2))
    send(client, LIKE | {"movie_id": ABSENT, "at": day(1)})
    held = get(client, "/users/ada/export")
    assert held["user_id"] == "ada"
    assert [row["movie_id"] for row in held["interactions"]] == [ABSENT, TOY_STORY]
    assert held["interactions"] == history(client)[::-1]
    assert_problem(client.get("/users/nobody/export"), 404, field="user_id", code="person_not_found")


@pytest.mark.parametrize("path", [f"/similar/{TOY_STORY}", "/recommendations/ada", "/search"])
def test_an_interaction_may_name_the_list_it_came_from(client: TestClient, path: str) -> None:
    token = get(client, path, q="toy")["recommendation_id"]
    act(client, TOY_STORY_2, "click", recommendation_id=token, position=1)
    (row,) = rows(client, "/users/ada/interactions")
    assert (row["recommendation_id"], row["position"]) == (token, 1)


def test_a_forged_list_is_refused(client: TestClient, row_counts: RowCounts) -> None:
    token = get(client, f"/similar/{TOY_STORY}")["recommendation_id"]
    before = row_counts()
    for forged in (token[:-1], token.replace(".", "x."), token[1:], "", "."):
        response = client.post("/interactions", json=LIKE | {"recommendation_id": forged})
        assert_problem(response, 422, field="recommendation_id")
    assert row_counts() == before
