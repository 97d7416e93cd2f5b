"""Which films a home screen is made of: its seeds, what is recent, what few know, what a person sees most."""

from typing import Any

from backend.ml.rows import less_known, most_seen, newest, next_seed


def liked(number: int, *genres: str, weight: float = 1.0, collection: str | None = None) -> dict[str, Any]:
    """A film that somebody likes."""
    return {"id": number, "genres": list(genres), "weight": weight, "collection": collection}


def ids(films: list[dict[str, Any]]) -> list[int]:
    return [film["id"] for film in films]


def test_the_first_row_is_named_for_the_film_that_is_liked_most() -> None:
    seed = next_seed([liked(7, "Drama"), liked(3, "Drama", weight=0.8)], [], [])
    assert seed is not None
    assert seed["id"] == 7


def test_a_row_is_named_for_no_film_that_was_only_liked_a_little() -> None:
    assert next_seed([liked(7, "Drama", weight=0.55), liked(8, "War", weight=0.2)], [], []) is None


def test_the_second_row_is_about_something_else() -> None:
    first = liked(1, "Drama", "Crime", collection="The Godfather Collection")
    likes = [
        first,
        liked(2, "Drama", "Crime"),
        liked(3, "Animation", collection="The Godfather Collection"),
        liked(4, "Animation"),
        liked(5, "Drama", "War"),
        liked(6, "Comedy"),
    ]
    near = [{"id": 4}]
    seed = next_seed(likes, [first], near)
    assert seed is not None
    assert seed["id"] == 6
    second = next_seed(likes[:3] + likes[4:5], [first], near)
    assert second is not None
    assert second["id"] == 5, "where genres can't differ, they differ as far as they can"


def test_recent_is_what_is_newest_of_what_there_is() -> None:
    films = [{"id": year, "release_year": year} for year in (2018, 2024, 2016, 2025, 2023)]
    assert ids(newest(films, enough=2)) == [2024, 2025]
    assert ids(newest(films, enough=4)) == [2018, 2024, 2025, 2023]
    assert newest(films, enough=9) == films
    assert newest([], enough=3) == []


def test_of_one_year_there_may_be_more_than_enough() -> None:
    films = [{"id": number, "release_year": 2025} for number in range(5)]
    assert newest(films, enough=2) == films


def test_hidden_is_what_the_fewer_like_in_the_order_it_had() -> None:
    films = [{"id": number, "score_parts": {"prior": prior}} for number, prior in enumerate((0.4, 0.1, 0.3, 0.2))]
    assert ids(less_known(films)) == [1, 3]


def test_where_nothing_tells_what_is_known_all_may_be_hidden() -> None:
    films: list[dict[str, Any]] = [{"id": 1}, {"id": 2}]
    assert less_known(films) == films
    assert less_known([]) == []


def test_what_is_seen_most_goes_by_how_much_it_is_liked() -> None:
    likes = [
        liked(1, "Drama"),
        liked(2, "Drama", "War"),
        liked(3, "Comedy", weight=0.2),
        liked(4, "Comedy", weight=0.2),
    ]
    assert most_seen(likes) == ["Drama", "War"]
    assert most_seen([]) == []
