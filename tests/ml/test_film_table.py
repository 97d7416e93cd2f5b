"""Films as columns: the same films pass the same filters, and look the same, as in the database."""

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from backend.catalog.filters import NO_FILTERS, Filters, MovieRef
from backend.catalog.records import GENRE_IDS, MovieRecord
from backend.catalog.store import browse, filter_conditions, get_detail, movie_is, upsert, visible
from backend.config import PACKAGED_MODEL
from backend.errors import LayerUnavailableError, MovieNotFoundError
from backend.ml.artefact import Artefact, open_current, publishing
from backend.ml.cache_store import stream_films
from backend.ml.film_table import DETAIL, MOST_GENRES, ROWS, SUMMARY, FilmTable, quality, write_films
from backend.models import Movie
from tests.conftest import rolled_back

ADULT, LAST = 66, 2**31 - 1
SHARED, ALONE = "tt0000001", "tt1234567890"

AWKWARD = (
    MovieRecord(id=1, title="Bare"),
    MovieRecord(id=2, title="Only a year", release_year=1999, genres=["Drama"], vote_count=3),
    MovieRecord(
        id=3,
        title="千と千尋の神隠し",
        original_title="Ужин \U0001f37f \"'\\\n",
        original_language="ja",
        genres=["Animation", "Family", "Fantasy"],
        release_date=dt.date(2001, 7, 20),
        runtime=125,
        vote_average=8.534,
        vote_count=16_000,
        popularity=93.1,
        imdb_id=SHARED,
        overview="Überall\u2028Geister",
        keywords=["精霊"],
        directors=["宮崎 駿"],
        actors=["柊 瑠美", "入野 自由"],
        collection="—",
        status="Released",
        budget=2**63 - 1,
        revenue=1,
        poster_path="/a.jpg",
        backdrop_path="/b.jpg",
        tagline="",
    ),
    MovieRecord(id=4, title="Of no genre that TMDB has", genres=["Bollywood"], original_language="hi"),
    MovieRecord(id=5, title="Of one of each", genres=["Bollywood", "Drama"], release_year=2001, runtime=1),
    MovieRecord(id=6, title="Of a language unheard of", original_language="unheard-of", vote_average=10),
    MovieRecord(id=7, title="The same IMDb id", imdb_id=SHARED, genres=["Drama", "Horror"], vote_average=5),
    MovieRecord(id=8, title="Another's twin in quality", original_language="en", vote_count=3),
    MovieRecord(id=9, title="Its twin", original_language="en", vote_count=3),
    MovieRecord(id=ADULT, title="Adult", adult=True, genres=["Romance"], vote_count=900, vote_average=7),
    MovieRecord(id=77, title="Every genre", genres=list(GENRE_IDS), imdb_id=ALONE, runtime=240),
    MovieRecord(id=78, title="Zero minutes", genres=["War"]),
    MovieRecord(id=LAST, title="Last", release_date=dt.date(9999, 12, 31), vote_count=10**9, vote_average=6.5),
)
ONE: dict[str, Any] = {
    "id": 1,
    "title": "Bare",
    "genres": [],
    "vote_average": 0,
    "vote_count": 0,
    "adult": False,
    "hidden": False,
    "quality": 0,
}
REFS: tuple[MovieRef, ...] = (*(film.id for film in AWKWARD), 0, 10, 79, 2**31, 2**40, SHARED, ALONE, "tt9999999")


@dataclass(frozen=True)
class Both:
    """The same films in a database, in mapped files and in memory."""

    session: Session
    tables: tuple[FilmTable, FilmTable]


@pytest.fixture(scope="module")
def both(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The awkward films; one has a runtime that only plain SQL can give it."""
    root = tmp_path_factory.mktemp("films")
    with rolled_back(engine) as session:
        upsert(session, AWKWARD, source="file")
        session.execute(text("UPDATE movies SET runtime = 0 WHERE id = 78"))
        with publishing(root) as draft:
            ids = write_films(stream_films(session, model=PACKAGED_MODEL), draft)
        assert ids.tolist() == sorted(film.id for film in AWKWARD)
        in_memory = FilmTable.of(stream_films(session, model=PACKAGED_MODEL))
        yield Both(session, (FilmTable.open(open_current(root)), in_memory))


names = st.lists(st.sampled_from(sorted(GENRE_IDS)), max_size=3).map(tuple)
filters_made = st.builds(
    Filters,
    genre=names,
    exclude_genre=names,
    year_min=st.none() | st.sampled_from([0, 1870, 1999, 2001, 2002, 9999]),
    year_max=st.none() | st.sampled_from([1870, 1999, 2000, 2001, 9999]),
    runtime_min=st.none() | st.sampled_from([0, 1, 100, 125, 126]),
    runtime_max=st.none() | st.sampled_from([0, 1, 125, 10_000]),
    vote_average_min=st.none() | st.floats(0, 10) | st.sampled_from([0, 5, 6.5, 8.534, 10]),
    vote_count_min=st.none() | st.sampled_from([0, 1, 3, 4, 10**9]),
    original_language=st.none() | st.sampled_from(["en", "ja", "hi", "xx"]),
    exclude=st.lists(st.sampled_from(REFS), max_size=4).map(tuple),
)
EACH_ALONE = (
    Filters(exclude=(SHARED,)),
    Filters(exclude=(ALONE, 3, "tt9999999", 10)),
    Filters(genre=("Drama",)),
    Filters(exclude_genre=("Drama",)),
    Filters(runtime_max=90),
    Filters(runtime_min=0),
    Filters(year_min=0),
    Filters(original_language="ja"),
)


def same_films_pass(both: Both, filters: Filters, include_adult: bool) -> None:
    """Assert that the table lets through what SQL selects."""
    matching = select(Movie.id).where(filter_conditions(filters), visible(include_adult=include_adult))
    expected = both.session.scalars(matching.order_by(Movie.id)).all()
    for table in both.tables:
        allowed = table.allowed(filters, include_adult=include_adult)
        assert allowed.dtype == bool
        assert table.ids[allowed].tolist() == expected


@settings(max_examples=200, deadline=None)
@given(filters_made, st.booleans())
@example(NO_FILTERS, False)
@example(NO_FILTERS, True)
def test_filters_let_through_what_the_database_selects(both: Both, filters: Filters, include_adult: bool) -> None:
    same_films_pass(both, filters, include_adult)


@pytest.mark.parametrize("filters", EACH_ALONE)
def test_each_filter_lets_through_what_the_database_selects(both: Both, filters: Filters) -> None:
    same_films_pass(both, filters, include_adult=True)


@pytest.mark.parametrize("ref", REFS)
def test_a_film_is_found_by_either_id_as_in_the_database(both: Both, ref: MovieRef) -> None:
    expected = both.session.scalars(select(Movie.id).where(movie_is(ref))).all()
    for table in both.tables:
        place = table.find(ref)
        assert (place is None) == (not expected)
        assert place is None or int(table.ids[place]) in expected


def test_numbers_beyond_any_id_are_not_found(both: Both) -> None:
    for number in (-1, 2**64, -(2**64)):
        assert [table.find(number) for table in both.tables] == [None, None]


@pytest.mark.parametrize("film", AWKWARD, ids=lambda film: str(film.id))
def test_details_are_those_of_the_database(both: Both, film: MovieRecord) -> None:
    detail = orjson.loads(orjson.dumps(dict(get_detail(both.session, film.id, include_adult=True))))
    for table in both.tables:
        place = table.find(film.id)
        assert place is not None
        assert table.details(place) == detail
        assert list(table.details(place)) == list(detail)


def test_lists_and_their_order_are_those_of_the_database(both: Both) -> None:
    for include_adult in (False, True):
        rows, total = browse(both.session, NO_FILTERS, limit=100, offset=0, include_adult=include_adult)
        expected = orjson.loads(orjson.dumps([{key: row[key] for key in SUMMARY} for row in rows]))
        for table in both.tables:
            allowed = table.allowed(NO_FILTERS, include_adult=include_adult)
            shown = [table.summary(int(place)) for place in table.by_quality if allowed[place]]
            assert shown == expected
            assert len(shown) == total


def test_what_the_database_does_not_show_is_marked_as_adult(both: Both) -> None:
    with pytest.raises(MovieNotFoundError):
        get_detail(both.session, ADULT, include_adult=False)
    for table in both.tables:
        assert table.ids[table.columns["adult"]].tolist() == [ADULT]


def test_quality_is_that_of_the_database(both: Both) -> None:
    rows = both.session.execute(
        select(Movie.quality, Movie.vote_average, Movie.vote_count).order_by(Movie.id)
    ).all()
    expected = [row.quality for row in rows]
    assert [quality(row.vote_average, row.vote_count) for row in rows] == pytest.approx(expected, rel=1e-6)
    for table in both.tables:
        assert table.columns["quality"].tolist() == np.array(expected, dtype=np.float32).tolist()


def test_films_are_kindred_by_genre_and_without_one_to_all(both: Both) -> None:
    for table in both.tables:
        of_drama, bare, bollywood = (table.find(number) for number in (2, 1, 4))
        assert of_drama is not None
        assert bare is not None
        assert bollywood is not None
        assert table.ids[table.kindred(of_drama)].tolist() == [2, 5, 7, 77]
        assert table.ids[table.kindred(bollywood)].tolist() == [4, 5]
        assert table.kindred(bare).all()


def test_indexes_of_ids_and_of_those_that_are_not_there(both: Both) -> None:
    for table in both.tables:
        places = table.indexes_of(np.array([3, 10, LAST, 0, 1]))
        assert places.tolist() == [2, -1, len(AWKWARD) - 1, -1, 0]
        assert table.indexes_of(np.empty(0, dtype=np.int32)).tolist() == []


def test_more_genres_than_there_are_bits_are_left_unnamed() -> None:
    def film(number: int) -> dict[str, object]:
        known = {column.key: None for column in Movie.__table__.columns} | {
            "keywords": [],
            "directors": [],
            "actors": [],
            "adult": False,
            "hidden": False,
            "quality": 1.0,
            "vote_average": 0.0,
            "vote_count": 0,
        }
        return known | {"id": number, "title": "t", "genres": ["Drama", f"Genre {number}"]}

    table = FilmTable.of(film(number) for number in range(1, 101))
    assert table.allowed(Filters(genre=("Drama",)), include_adult=False).all()
    last_bit = MOST_GENRES - len(GENRE_IDS)
    assert table.ids[table.allowed(Filters(genre=(f"Genre {last_bit}",)), include_adult=False)].tolist() == [
        last_bit
    ]
    assert not table.allowed(Filters(genre=("Genre 100",)), include_adult=False).any()
    assert table.kindred(99).all()


def test_a_table_of_no_films(tmp_path: Path) -> None:
    with publishing(tmp_path) as draft:
        assert write_films(iter(()), draft).tolist() == []
    for table in (FilmTable.open(open_current(tmp_path)), FilmTable.of(())):
        assert (len(table), table.find(1), table.find(SHARED)) == (0, None, None)
        everything = Filters(genre=("Drama",), exclude_genre=("War",), year_min=1, exclude=(1, SHARED))
        assert table.allowed(everything, include_adult=False).tolist() == []
        assert table.by_quality.tolist() == []
        assert table.indexes_of(np.array([1, 2])).tolist() == [-1, -1]


def published(root: Path) -> Artefact:
    """One film, in files."""
    with publishing(root) as draft:
        write_films([dict.fromkeys(DETAIL) | ONE], draft)
    return open_current(root)


def test_films_stay_readable_when_the_folder_is_removed(tmp_path: Path) -> None:
    table = FilmTable.open(published(tmp_path))
    shutil.rmtree(tmp_path)
    assert table.details(0)["title"] == "Bare"


@pytest.mark.parametrize("damage", [b"", b"{" * 2000], ids=["cut", "overwritten"])
def test_a_file_that_is_damaged_under_a_reader_is_an_error_and_no_crash(tmp_path: Path, damage: bytes) -> None:
    artefact = published(tmp_path)
    table = FilmTable.open(artefact)
    (artefact.folder / ROWS).write_bytes(damage)
    with pytest.raises(LayerUnavailableError):
        table.details(0)
