"""TMDB's JSON to records: every shape it comes in, and everything that can be wrong with it."""

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.catalog.records import (
    ACTORS_KEPT,
    GENRES,
    MAX_BIGINT,
    MAX_INTEGER,
    MovieRecord,
    UnusableRecordError,
    parse_record,
)

UNKNOWN = MovieRecord(id=862, title="Toy Story")
"""What there is of a film that comes with an id and a title."""


def parse(**fields: Any) -> MovieRecord:
    """Toy Story with these fields."""
    return parse_record({"id": 862, "title": "Toy Story"} | fields)


# Shapes


def test_the_list_form_has_genres_by_number() -> None:
    film = parse(
        original_title="Toy Story",
        original_language="en",
        overview="Toys live.",
        genre_ids=[16, 35, 10751],
        release_date="1995-10-30",
        popularity=115.9,
        vote_average=7.97,
        vote_count=17152,
        adult=False,
        video=False,
        poster_path="/poster.jpg",
        backdrop_path="/backdrop.jpg",
    )
    assert film.genres == ["Animation", "Comedy", "Family"]
    assert (film.release_date, film.release_year) == (dt.date(1995, 10, 30), 1995)
    assert (film.popularity, film.vote_average, film.vote_count) == (115.9, 7.97, 17152)
    assert (film.poster_path, film.backdrop_path) == ("/poster.jpg", "/backdrop.jpg")


def test_the_detail_form_has_people_keywords_and_a_collection() -> None:
    crew = [
        {"name": "Joss Whedon", "job": "Screenplay"},
        {"name": "John Lasseter", "job": "Director"},
        {"name": "John Lasseter", "job": "Director"},
        "not an object",
    ]
    cast = [{"name": "Tom Hanks"}, {"name": "Tim Allen"}, {"name": None}, {}]
    film = parse(
        imdb_id="tt0114709",
        genres=[{"id": 16, "name": "Animation"}, {"id": 35, "name": "Comedy"}],
        keywords={"keywords": [{"id": 1, "name": "toy"}, {"id": 2, "name": "boy"}]},
        belongs_to_collection={"id": 10194, "name": "Toy Story Collection"},
        credits={"cast": cast, "crew": crew},
        runtime=81,
        budget=30_000_000,
        revenue=394_436_586,
        status="Released",
        tagline="Hang on for the comedy!",
    )
    assert film == MovieRecord(
        id=862,
        title="Toy Story",
        imdb_id="tt0114709",
        genres=["Animation", "Comedy"],
        keywords=["toy", "boy"],
        directors=["John Lasseter"],
        actors=["Tom Hanks", "Tim Allen"],
        collection="Toy Story Collection",
        runtime=81,
        budget=30_000_000,
        revenue=394_436_586,
        status="Released",
        tagline="Hang on for the comedy!",
    )


def test_the_file_form_has_bare_names() -> None:
    film = parse(
        genres=["Animation"],
        keywords=["toy"],
        directors=["John Lasseter"],
        cast=[f"Actor {number}" for number in range(30)],
        collection="Toy Story Collection",
        release_year="1995",
        runtime="81",
        vote_average="7.9",
    )
    assert (film.genres, film.keywords, film.directors) == (["Animation"], ["toy"], ["John Lasseter"])
    assert film.actors == [f"Actor {number}" for number in range(ACTORS_KEPT)]
    assert (film.collection, film.release_year, film.runtime) == ("Toy Story Collection", 1995, 81)
    assert film.vote_average == 7.9


def test_names_beside_numbers_count_first() -> None:
    assert parse(genres=["Western"], genre_ids=[18]).genres == ["Western"]


@pytest.mark.parametrize("number", GENRES)
def test_every_genre_of_tmdb_is_known(number: int) -> None:
    assert parse(genre_ids=[number]).genres == [GENRES[number]]


# What is unknown


@pytest.mark.parametrize("nothing", [None, "", " ", 0, [], {}, False, math.nan])
def test_every_way_to_write_nothing_is_unknown(nothing: Any) -> None:
    fields = (
        *("imdb_id", "original_title", "overview", "tagline", "genres", "genre_ids", "keywords", "directors"),
        *("cast", "credits", "belongs_to_collection", "release_date", "release_year", "runtime", "budget"),
        *("revenue", "popularity", "vote_average", "vote_count", "status", "adult", "poster_path"),
    )
    assert parse(**dict.fromkeys(fields, nothing)) == UNKNOWN


@pytest.mark.parametrize(
    "wrong", ["1995-13-01", "1995-02-30", "0000-00-00", "0001-01-01", "1995", "soon", 19951030, ["1995-10-30"], {}]
)
def test_a_wrong_date_is_no_date(wrong: Any) -> None:
    assert parse(release_date=wrong) == UNKNOWN


def test_a_date_may_have_a_time_behind_it() -> None:
    assert parse(release_date="1995-10-30T00:00:00.000Z").release_date == dt.date(1995, 10, 30)


def test_the_year_of_a_date_counts_before_a_year_alone() -> None:
    assert parse(release_date="1995-10-30", release_year=2000).release_year == 1995


@pytest.mark.parametrize("year", [1869, 10_000, -1, "nineteen", True])
def test_a_wrong_year_is_no_year(year: Any) -> None:
    assert parse(release_year=year).release_year is None


# Numbers


def test_revenue_may_be_larger_than_an_integer() -> None:
    assert parse(revenue=2_923_706_026, budget=2**31).revenue == 2_923_706_026


@pytest.mark.parametrize("wrong", [2**63, 10**40, -1, 1e300, math.inf, "much", True, [1], {"usd": 1}])
def test_money_that_no_column_holds_is_unknown(wrong: Any) -> None:
    assert parse(revenue=wrong, budget=wrong) == UNKNOWN


@pytest.mark.parametrize(
    "wrong", ["NaN", "Infinity", "-Infinity", math.inf, -math.inf, -1, True, "1e999", 10**400]
)
def test_what_is_no_finite_number_from_zero_up_counts_as_zero(wrong: Any) -> None:
    assert parse(popularity=wrong, vote_average=wrong, vote_count=wrong) == UNKNOWN


def test_no_average_is_higher_than_ten() -> None:
    assert parse(vote_average=11).vote_average == 10


# Text


@pytest.mark.parametrize("title", ["千と千尋の神隠し", "Амели", "إبراهيم", "🎬", "'; DROP TABLE movies"])
def test_titles_keep_their_script(title: str) -> None:
    assert parse(title=title).title == title


def test_what_postgres_can_not_store_is_taken_out_of_text() -> None:
    film = parse(title="\0Toy\0 Story\ud83d ", overview="\ud800", genres=["A\0nimation", "\0"])
    assert (film.title, film.overview, film.genres) == ("Toy Story", None, ["Animation"])


def test_names_stand_once() -> None:
    film = parse(
        genres=["Drama", {"name": "Drama"}, " Drama "],
        keywords={"keywords": ["toy", "toy"]},
        directors=["A", "B", "A"],
        cast=["C", "C"],
    )
    assert (film.genres, film.keywords, film.directors, film.actors) == (["Drama"], ["toy"], ["A", "B"], ["C"])
    assert parse(genre_ids=[18, 18, "18", 1.5, None, 999]).genres == ["Drama"]


@pytest.mark.parametrize("wrong", ["0114709", "tt1", "tt01147090000", "nm0114709", "tt٠١٢٣٤٥٦", 114709])
def test_what_is_no_imdb_id_is_unknown(wrong: Any) -> None:
    assert parse(imdb_id=wrong).imdb_id is None


@pytest.mark.parametrize(
    ("flag", "adult"), [(True, True), ("True", True), (False, False), ("False", False), ("", False)]
)
def test_adult_films_are_flagged_in_any_spelling(flag: Any, adult: bool) -> None:
    assert parse(adult=flag).adult is adult


# What can't become a film


@pytest.mark.parametrize("title", [None, "", "  ", "\0", "\ud800", 5, ["Toy Story"]])
def test_without_a_title_there_is_no_film(title: Any) -> None:
    with pytest.raises(UnusableRecordError, match="title"):
        parse(title=title)


def test_the_original_title_stands_in_for_a_missing_one() -> None:
    assert parse(title="", original_title="Le Jouet").title == "Le Jouet"


@pytest.mark.parametrize(
    "wrong", [None, "", "toy story", 0, -1, 862.5, 2**31, 10**40, math.nan, math.inf, True, [862], {"id": 862}]
)
def test_without_a_tmdb_id_there_is_no_film(wrong: Any) -> None:
    with pytest.raises(UnusableRecordError, match="id"):
        parse(id=wrong)


@pytest.mark.parametrize("raw", [None, [], ["id", "title"], "text", 5, True])
def test_only_an_object_is_a_film(raw: Any) -> None:
    with pytest.raises(UnusableRecordError, match="not a JSON object"):
        parse_record(raw)


# Whatever may come

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
NUMBERS = st.integers(-5, 2**65) | st.floats() | st.integers(-5, 2**65).map(str)
FIELDS = (
    *("imdb_id", "original_title", "original_language", "overview", "tagline", "genres", "genre_ids", "keywords"),
    *("directors", "cast", "credits", "belongs_to_collection", "collection", "release_date", "release_year"),
    *("status", "adult", "poster_path", "backdrop_path"),
)
NUMERIC = ("runtime", "budget", "revenue", "popularity", "vote_average", "vote_count", "release_year")
FILMS = st.fixed_dictionaries(
    {"id": st.integers(1, MAX_INTEGER) | JSON, "title": st.text(min_size=1) | JSON},
    optional=dict.fromkeys(FIELDS, JSON) | dict.fromkeys(NUMERIC, NUMBERS | JSON),
)


@given(JSON | FILMS)
def test_any_json_becomes_a_film_that_can_be_stored_or_is_refused(raw: Any) -> None:
    try:
        film = parse_record(raw)
    except UnusableRecordError:
        return
    assert_storable(film)


def assert_storable(film: MovieRecord) -> None:
    """Everything fits its column."""
    texts = [film.title, film.overview, *film.genres, *film.keywords, *film.directors, *film.actors]
    assert all(text is None or (text == text.strip() != "" and "\0" not in text) for text in texts)
    assert all(text is None or text.encode() for text in texts)
    assert 1 <= film.id <= MAX_INTEGER
    assert 0 <= film.vote_count <= MAX_INTEGER - 500, "`quality` adds 500"
    assert 0 <= film.vote_average <= 10
    assert 0 <= film.popularity < math.inf
    for number, most in ((film.runtime, MAX_INTEGER), (film.budget, MAX_BIGINT), (film.revenue, MAX_BIGINT)):
        assert number is None or 1 <= number <= most
    assert film.release_year is None or 1870 <= film.release_year <= 9999
