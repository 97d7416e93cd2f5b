"""A home screen in one call: rows with a subject and a reason, and no film twice."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.answers import act, assert_problem, get, ids
from tests.api.test_layers import Service, files, service  # noqa: F401 - fixtures
from tests.catalogue import DARK_KNIGHT, GODFATHER, MATRIX, TOY_STORY, TOY_STORY_2


@pytest.fixture
def screen(client: TestClient) -> Any:
    """What somebody sees who likes a film of animation and one of crime."""
    act(client, TOY_STORY)
    act(client, GODFATHER, "rating")
    return get(client, "/rows/ada", n=8)


def row(screen: dict[str, Any], key: str) -> dict[str, Any]:
    """One of the rows."""
    (found,) = [row for row in screen["rows"] if row["key"] == key]
    return dict(found)


def films(screen: dict[str, Any]) -> list[int]:
    """The ids of all films of all rows."""
    return [film["id"] for row in screen["rows"] for film in row["results"]]


def test_a_screen_has_rows_of_several_subjects_each_with_a_reason(screen: dict[str, Any]) -> None:
    keys = [row["key"] for row in screen["rows"]]
    assert keys[0] == "for_you"
    assert {f"because:{TOY_STORY}", f"because:{GODFATHER}", "different"} <= set(keys)
    assert len(set(keys)) == len(keys)
    for one in screen["rows"]:
        assert one["title"]
        assert one["reason"].endswith(".")


def test_no_film_stands_there_twice(screen: dict[str, Any]) -> None:
    assert len(set(films(screen))) == len(films(screen))


@pytest.mark.parametrize("n", [1, 4, 7, 50])
def test_rows_have_so_many_films_and_none_has_fewer_than_four(client: TestClient, n: int) -> None:
    act(client, TOY_STORY)
    rows = get(client, "/rows/ada", n=n)["rows"]
    assert all(4 <= len(row["results"]) <= n for row in rows)
    assert bool(rows) == (n >= 4)


def test_every_film_says_in_a_word_why_it_is_there(screen: dict[str, Any]) -> None:
    assert all(len(film["why"]) == 1 for row in screen["rows"] for film in row["results"])
    because = row(screen, f"because:{TOY_STORY}")
    assert because["seed"] == {"id": TOY_STORY, "title": "Toy Story"}
    assert because["title"] == "Because you liked Toy Story"
    assert all(film["why"] == [{"kind": "liked", **because["seed"]}] for film in because["results"])
    assert row(screen, "for_you")["seed"] is None


def test_the_first_row_is_what_is_recommended(client: TestClient, screen: dict[str, Any]) -> None:
    recommended = ids(client, "/recommendations/ada", n=8)
    assert [film["id"] for film in row(screen, "for_you")["results"]] == recommended


def test_a_row_named_for_a_film_has_what_is_like_it(client: TestClient, screen: dict[str, Any]) -> None:
    like = ids(client, f"/similar/{TOY_STORY}", n=50, user_id="ada")
    shown = [film["id"] for film in row(screen, "for_you")["results"]]
    before = [one["key"] for one in screen["rows"]].index(f"because:{TOY_STORY}")
    shown += [film["id"] for one in screen["rows"][:before] for film in one["results"]]
    expected = [film for film in like if film not in shown][:8]
    assert [film["id"] for film in row(screen, f"because:{TOY_STORY}")["results"]] == expected


def test_something_different_is_of_none_of_the_usual_genres(client: TestClient, screen: dict[str, Any]) -> None:
    different = row(screen, "different")
    usual = different["reason"].removeprefix("Away from ").partition(", which")[0].split(" and ")
    assert len(usual) == 2
    for film in different["results"]:
        assert not {genre["name"] for genre in film["genres"]} & set(usual)


@pytest.mark.parametrize("kind", ["like", "rating", "dislike", "watched", "watchlist", "not_interested"])
def test_what_a_person_had_stands_in_no_row(client: TestClient, kind: str) -> None:
    act(client, TOY_STORY)
    act(client, TOY_STORY_2, kind)
    act(client, DARK_KNIGHT, kind)
    shown = films(get(client, "/rows/ada", n=50))
    assert shown
    assert not {TOY_STORY, TOY_STORY_2, DARK_KNIGHT} & set(shown)


def test_a_film_that_was_rated_badly_names_no_row(client: TestClient) -> None:
    act(client, MATRIX, "dislike")
    act(client, TOY_STORY, "rating", value=2)
    act(client, GODFATHER, "watchlist")
    assert not [row for row in get(client, "/rows/ada")["rows"] if row["seed"]]


FILTERS = {"genre": "Drama", "year_min": 1990, "runtime_max": 170, "exclude": f"{MATRIX},tt0109830"}


def test_filters_hold_in_every_row(client: TestClient) -> None:
    act(client, TOY_STORY)
    act(client, GODFATHER)
    screen = get(client, "/rows/ada", **FILTERS, n=6)
    assert len(screen["rows"]) >= 2
    for film in (film for row in screen["rows"] for film in row["results"]):
        assert "Drama" in [genre["name"] for genre in film["genres"]]
        assert film["release_year"] >= 1990
        assert film["runtime"] <= 170
        assert film["id"] not in (MATRIX, 13)


def test_where_nothing_fits_there_is_no_row(client: TestClient) -> None:
    screen = get(client, "/rows/ada", year_min=2090)
    assert screen["rows"] == []


def test_someone_unknown_gets_films_to_start_with(client: TestClient) -> None:
    screen = get(client, "/rows/nobody")
    assert screen["cold_start"] is True
    first = screen["rows"][0]
    assert (first["key"], first["title"]) == ("for_you", "Good films to start with")
    assert not [row for row in screen["rows"] if row["key"] in ("hidden_gems", "different") or row["seed"]]


def test_a_list_that_films_were_chosen_from_can_be_named(client: TestClient, screen: dict[str, Any]) -> None:
    act(client, MATRIX, "click", recommendation_id=screen["recommendation_id"])


@pytest.mark.parametrize("given", [{"n": 0}, {"n": 51}, {"diversity_boost": 2}, {"genre": "Noir"}])
def test_what_can_not_be_asked_for_is_refused(client: TestClient, given: dict[str, Any]) -> None:
    assert_problem(client.get("/rows/ada", params=given), 422, field=next(iter(given)))


@pytest.mark.parametrize("path", ["/rows/ada?n=6", "/rows/nobody?n=6", "/rows/ada?n=5&genre=Drama"])
def test_the_rows_are_the_same_without_the_database(service: Service, path: str) -> None:  # noqa: F811
    before = service.client.get(path).json()
    with service.without_database():
        away = service.client.get(path).json()
    assert (before["degraded"], away["degraded"]) == (False, True)
    assert [row["key"] for row in away["rows"]] == [row["key"] for row in before["rows"]]
    assert films(away) == films(before)
    for one, other in zip(away["rows"], before["rows"], strict=True):
        assert {**one, "results": []} == {**other, "results": []}


def test_popular_films_answer_where_neither_database_nor_files_can(service: Service) -> None:  # noqa: F811
    with service.without_database():
        service.remove_cache()
        service.remove_models()
        screen = service.client.get("/rows/ada").json()
    assert (screen["source"], screen["degraded"]) == ("popular", True)
    assert TOY_STORY not in films(screen)
    assert len(screen["rows"]) >= 2
