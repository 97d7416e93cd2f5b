"""Films that are hidden: out of every answer, and back when they are fetched again."""

import datetime as dt

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from backend.catalog.filters import NO_FILTERS
from backend.catalog.records import MovieRecord
from backend.catalog.store import (
    Upserted,
    browse,
    coverage,
    find_fetched,
    find_refs,
    genre_counts,
    get_detail,
    upsert,
)
from backend.errors import MovieNotFoundError
from backend.models import Movie

BEFORE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
IMDB_ID = "tt0000001"
FILMS = [
    MovieRecord(id=1, title="Gone", genres=["Drama"], imdb_id=IMDB_ID, original_overview="Parti."),
    MovieRecord(id=2, title="Here", genres=["War"]),
]


def fetch(session: Session, *films: MovieRecord, at: dt.datetime | None = NOW, source: str = "tmdb") -> Upserted:
    """Store films whose details TMDB has just sent."""
    return upsert(session, films, source=source, fetched_at=at)


def hide(session: Session) -> None:
    """As for a film that TMDB no longer has."""
    session.execute(text("UPDATE movies SET hidden = true WHERE id = 1"))


def is_hidden(session: Session) -> bool:
    """Whether it still is."""
    return bool(session.scalar(select(Movie.hidden).where(Movie.id == 1)))


@pytest.fixture
def films(session: Session) -> Session:
    """Two films from TMDB, one of them hidden."""
    fetch(session, *FILMS, at=BEFORE)
    hide(session)
    return session


@pytest.mark.parametrize("include_adult", [False, True])
def test_a_hidden_film_is_in_no_list_and_has_no_detail(films: Session, include_adult: bool) -> None:
    shown, total = browse(films, NO_FILTERS, limit=10, offset=0, include_adult=include_adult)
    assert ([row["id"] for row in shown], total) == ([2], 1)
    assert genre_counts(films, include_adult=include_adult) == [("War", 1)]
    for ref in (1, IMDB_ID):
        with pytest.raises(MovieNotFoundError):
            get_detail(films, ref, include_adult=include_adult)


def test_coverage_is_of_the_whole_catalogue(films: Session) -> None:
    assert coverage(films, model="a-model").total_movies == 2


@pytest.mark.parametrize(
    ("film", "done"),
    [
        (FILMS[0], Upserted(changed=1)),
        (MovieRecord(id=1, title="Gone"), Upserted(changed=1)),
        (MovieRecord(id=1, title="Back"), Upserted(changed=1)),
    ],
)
def test_a_film_that_is_fetched_again_is_shown_again(films: Session, film: MovieRecord, done: Upserted) -> None:
    assert fetch(films, film) == done
    assert not is_hidden(films)
    assert fetch(films, film) == Upserted(unchanged=1)


def test_it_is_shown_again_where_others_of_the_batch_differ(films: Session) -> None:
    assert fetch(films, *FILMS, MovieRecord(id=3, title="New")) == Upserted(new=1, changed=1, unchanged=1)
    assert not is_hidden(films)


def test_a_row_that_was_fetched_again_and_differs_in_nothing_keeps_its_date(films: Session) -> None:
    statement = select(Movie.updated_at, Movie.fetched_at).where(Movie.id == 2)
    updated, _ = films.execute(statement).one()
    assert fetch(films, FILMS[1]) == Upserted(unchanged=1)
    assert films.execute(statement).one() == (updated, NOW)


def test_figures_alone_bring_no_film_back(films: Session) -> None:
    fetch(films, MovieRecord(id=1, title="Gone", vote_count=10), at=None)
    assert is_hidden(films)


def test_a_film_from_a_file_is_shown(films: Session) -> None:
    fetch(films, FILMS[0], at=None, source="file")
    assert not is_hidden(films)


def test_whoever_hears_of_a_hidden_film_fetches_it_again(films: Session) -> None:
    assert find_fetched(films, [1, 2], since=BEFORE - dt.timedelta(days=1)) == {2: 0}


def test_of_films_that_were_merged_the_one_that_is_shown_is_found(films: Session) -> None:
    fetch(films, MovieRecord(id=3, title="Merged", imdb_id=IMDB_ID))
    assert find_refs(films, [IMDB_ID, 1]) == {IMDB_ID: 3, 1: 1}
    assert get_detail(films, IMDB_ID, include_adult=False)["id"] == 3


def test_the_overview_in_the_original_language_is_kept_while_unknown(films: Session) -> None:
    fetch(films, MovieRecord(id=1, title="Gone"))
    assert get_detail(films, 1, include_adult=False)["original_overview"] == "Parti."
