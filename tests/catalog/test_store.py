"""The SQL over films: what a load writes and leaves alone, lists, and what waits for an embedding."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, literal_column, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.catalog import store
from backend.catalog.copy_text import copy_text
from backend.catalog.filters import NO_FILTERS, Filters, genre_name
from backend.catalog.records import MOST_VOTES, MovieRecord
from backend.catalog.store import (
    Upserted,
    browse,
    claim_pending,
    coverage,
    filter_conditions,
    find_refs,
    genre_counts,
    get_detail,
    is_empty,
    save_embeddings,
    upsert,
)
from backend.catalog.values import MAX_BIGINT, MAX_INTEGER
from backend.errors import MovieNotFoundError, UnknownGenreError
from backend.models import EMBEDDING_DIMENSION, Movie

MODEL = "a-model"


def film(number: int, title: str = "A film", **fields: Any) -> MovieRecord:
    """A record."""
    return MovieRecord(id=number, title=title, **fields)


def put(session: Session, *films: MovieRecord, source: str = "file") -> Upserted:
    """Write films in one batch."""
    return upsert(session, films, source=source)


def places(session: Session) -> dict[int, str]:
    """Where each row lies: another place after any update, even one that changes nothing."""
    return dict(session.execute(text("SELECT id, ctid::text FROM movies")).all())  # type: ignore[arg-type]


def value(session: Session, column: str, number: int = 1) -> Any:
    """One column of one film."""
    return session.scalar(select(literal_column(column)).select_from(Movie).where(Movie.id == number))


def embed(session: Session, *numbers: int, model: str = MODEL) -> None:
    """Give films some vector of a model."""
    vectors = np.eye(len(numbers), EMBEDDING_DIMENSION, dtype=np.float32)
    save_embeddings(session, numbers, vectors, model=model)


def pending(session: Session, model: str = MODEL) -> list[int]:
    """The films that wait, in the order of embedding."""
    return [waiting.id for waiting in claim_pending(session, model=model, limit=100)]


# Loading


def test_a_load_counts_what_is_new_changed_and_unchanged(session: Session) -> None:
    assert is_empty(session)
    assert put(session, film(1), film(2), film(3)) == Upserted(new=3)
    assert not is_empty(session)
    assert put(session, film(1), film(2, "Another title"), film(4)) == Upserted(new=1, changed=1, unchanged=1)


def test_the_same_batch_again_touches_no_row(session: Session) -> None:
    films = [
        film(1, "Toy Story", overview="Toys.", genres=["Animation"], actors=["Tom Hanks"], budget=30_000_000),
        film(
            2, release_date=dt.date(1995, 10, 30), release_year=1995, vote_average=7.9, vote_count=10, adult=True
        ),
        film(3, release_year=1999, popularity=1 / 3, vote_average=0.1),
        film(4),
    ]
    put(session, *films)
    before = places(session)
    assert put(session, *films) == Upserted(unchanged=4)
    assert places(session) == before


def test_the_unknown_never_hides_the_known(session: Session) -> None:
    known = film(
        1,
        imdb_id="tt0114709",
        original_title="Original",
        original_language="en",
        overview="Overview.",
        tagline="Tagline.",
        genres=["Drama"],
        keywords=["toy"],
        directors=["A"],
        actors=["B"],
        collection="C",
        release_date=dt.date(1995, 10, 30),
        release_year=1995,
        runtime=81,
        budget=1,
        revenue=2,
        popularity=3.5,
        vote_average=7.5,
        vote_count=100,
        status="Released",
        adult=True,
        poster_path="/p.jpg",
        backdrop_path="/b.jpg",
    )
    put(session, known)
    before = session.execute(text("SELECT m.* FROM movies m")).one()
    assert put(session, film(1)) == Upserted(unchanged=1)
    assert session.execute(text("SELECT m.* FROM movies m")).one() == before


def test_votes_without_an_average_keep_the_average(session: Session) -> None:
    put(session, film(1, vote_average=7.5, vote_count=100))
    put(session, film(1, vote_count=120))
    assert (value(session, "vote_average"), value(session, "vote_count")) == (7.5, 120)


def test_a_year_alone_never_contradicts_a_known_date(session: Session) -> None:
    put(session, film(1, release_date=dt.date(1995, 10, 30), release_year=1995))
    assert put(session, film(1, release_year=1999)) == Upserted(unchanged=1)
    assert value(session, "release_year") == 1995


def test_a_later_date_brings_its_year(session: Session) -> None:
    put(session, film(1, release_year=1999))
    put(session, film(1, release_date=dt.date(2001, 1, 1), release_year=2001))
    assert value(session, "release_year") == 2001


def test_of_two_records_of_one_film_the_last_wins(session: Session) -> None:
    assert put(session, film(1, "First"), film(2), film(1, "Last")) == Upserted(new=2)
    assert value(session, "title") == "Last"


def test_a_film_that_comes_from_elsewhere_now_says_so(session: Session) -> None:
    put(session, film(1), source="starter")
    assert put(session, film(1), source="file") == Upserted(changed=1)
    assert value(session, "source") == "file"


def test_the_largest_numbers_that_a_record_has_fit(session: Session) -> None:
    largest = film(
        MAX_INTEGER,
        runtime=MAX_INTEGER,
        budget=MAX_BIGINT,
        revenue=MAX_BIGINT,
        vote_count=MOST_VOTES,
        vote_average=10.0,
        popularity=1.7e308,
        release_date=dt.date.max,
        release_year=9999,
    )
    smallest = film(1, popularity=5e-324, vote_average=5e-324, vote_count=1)
    assert put(session, largest, smallest) == Upserted(new=2)
    assert value(session, "revenue", MAX_INTEGER) == MAX_BIGINT


@pytest.mark.parametrize("odd", ['"', "\\", "{a,b}", "NULL", "%s :name", "'", "\n\t", "\u2028", "🎬"])
def test_text_arrives_as_it_was(session: Session, odd: str) -> None:
    put(session, film(1, f"a{odd}z", overview=f"a{odd}z", genres=[odd, "NULL", ""], keywords=[odd]))
    stored = session.execute(text("SELECT title, overview, genres, keywords FROM movies")).one()
    assert stored == (f"a{odd}z", f"a{odd}z", [odd, "NULL", ""], [odd])


@pytest.mark.parametrize(
    "mark", ["\\N", "\\.", "\\", "\\t", "\\\\N", "\t", "\n\\.\n", "\r\n", "{}", '{"a"}', '\\"']
)
def test_text_that_is_a_mark_of_copy_is_text(session: Session, mark: str) -> None:
    put(session, film(1, mark, overview=mark, keywords=[mark, mark], poster_path=mark), film(2, "The next"))
    stored = session.execute(text("SELECT title, overview, keywords, poster_path FROM movies WHERE id = 1")).one()
    assert stored == (mark, mark, [mark, mark], mark)
    assert value(session, "title", 2) == "The next"


def test_a_load_waits_for_nobody_where_it_changes_nothing(own_engine: Engine) -> None:
    films = [film(number) for number in range(1, 4)]
    with Session(own_engine) as setup, setup.begin():
        put(setup, *films)
    with Session(own_engine) as holding, Session(own_engine) as loading:
        holding.execute(text("SELECT id FROM movies WHERE id < 3 FOR UPDATE"))
        loading.execute(text("SET lock_timeout = '2s'"))
        assert put(loading, *films[:2], film(3, "Another"), film(4)) == Upserted(new=1, changed=1, unchanged=2)


def test_films_that_change_are_locked_in_the_order_of_their_ids(own_engine: Engine) -> None:
    """Two loads that meet would otherwise each wait for the other."""
    with Session(own_engine) as setup, setup.begin():
        put(setup, *(film(number) for number in range(1, 4)))
    with Session(own_engine) as holding, Session(own_engine) as loading:
        holding.execute(text("SELECT id FROM movies WHERE id = 2 FOR UPDATE"))
        loading.execute(text("SET lock_timeout = '100ms'"))
        with pytest.raises(OperationalError):
            put(loading, *(film(number, "Another") for number in (3, 2, 1)))
        # Only one whose locks it took before it waited bears the mark of that.
        marks = dict(holding.execute(text("SELECT id, xmax <> 0 FROM movies")).all())  # type: ignore[arg-type]
        assert (marks[1], marks[3]) == (True, False)


def test_a_server_that_goes_away_while_films_are_copied_is_a_failure_like_any_other(
    own_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(own_engine) as session, Session(own_engine) as other:
        pid = session.scalar(text("SELECT pg_backend_pid()"))

        def cut_off(records: Any) -> str:
            other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
            return copy_text(records)

        with monkeypatch.context() as fault:
            fault.setattr(store, "copy_text", cut_off)
            with pytest.raises(OperationalError):
                put(session, film(1))
        assert put(session, film(1)) == Upserted(new=1)


# Finding


@pytest.fixture
def shelf(session: Session) -> Session:
    """Some films to choose from."""
    put(
        session,
        film(
            1,
            "Known",
            imdb_id="tt0000001",
            genres=["Drama", "War"],
            release_year=1990,
            runtime=100,
            vote_count=900,
        ),
        film(2, "Short", genres=["Drama"], release_year=2000, runtime=20, vote_count=800, vote_average=8.0),
        film(3, "French", genres=["Comedy"], release_year=2010, original_language="fr", vote_count=700),
        film(4, "Bare", vote_count=600),
        film(5, "Adult", genres=["Drama"], release_year=2000, vote_count=500, adult=True),
    )
    return session


@pytest.mark.parametrize(
    ("filters", "films"),
    [
        (NO_FILTERS, {1, 2, 3, 4, 5}),
        (Filters(genre=("Drama",)), {1, 2, 5}),
        (Filters(genre=("War", "Comedy")), {1, 3}),
        (Filters(exclude_genre=("War", "Comedy")), {2, 4, 5}),
        (Filters(genre=("Drama",), exclude_genre=("War",)), {2, 5}),
        (Filters(year_min=2000), {2, 3, 5}),
        (Filters(year_max=2000), {1, 2, 5}),
        (Filters(runtime_min=20), {1, 2}),
        (Filters(runtime_max=20), {2}),
        (Filters(vote_average_min=8.0), {2}),
        (Filters(vote_count_min=700), {1, 2, 3}),
        (Filters(original_language="fr"), {3}),
        (Filters(exclude=(1, 3)), {2, 4, 5}),
        (Filters(exclude=("tt0000001",)), {2, 3, 4, 5}),
        (Filters(exclude=(2, "tt0000001", 999, "tt9999999")), {3, 4, 5}),
        (Filters(genre=("Drama",), year_min=1995, runtime_max=60), {2}),
    ],
)
def test_filters_hold(shelf: Session, filters: Filters, films: set[int]) -> None:
    found = shelf.scalars(select(Movie.id).where(filter_conditions(filters)))
    assert set(found) == films
    assert filters.narrows == (filters != NO_FILTERS)


@pytest.mark.parametrize("given", ["science fiction", " Science Fiction ", "SCIENCE FICTION", "878"])
def test_a_genre_is_known_by_name_in_any_case_and_by_number(given: str) -> None:
    assert genre_name(given, field="genre") == "Science Fiction"


@pytest.mark.parametrize("given", ["", "Sci-Fi", "999", "²", "-1", "9" * 5000])
def test_an_unknown_genre_is_refused_with_those_that_there_are(given: str) -> None:
    with pytest.raises(UnknownGenreError, match="Western") as caught:
        genre_name(given, field="genre")
    assert caught.value.field == "genre"


def browsed(session: Session, **options: Any) -> tuple[list[int], int]:
    """The ids of a page, and the total."""
    options = {"filters": NO_FILTERS, "limit": 10, "offset": 0, "include_adult": False} | options
    rows, total = browse(session, options.pop("filters"), **options)
    return [row["id"] for row in rows], total


def test_browsing_shows_the_popular_first_and_tells_how_many_there_are(shelf: Session) -> None:
    everything, total = browsed(shelf)
    assert (set(everything), total) == ({1, 2, 3, 4}, 4)
    qualities = [value(shelf, "quality", number) for number in everything]
    assert qualities == sorted(qualities, reverse=True)
    assert browsed(shelf, limit=2, offset=1) == (everything[1:3], 4)


def test_a_page_past_the_end_is_empty_and_still_tells_how_many_there_are(shelf: Session) -> None:
    assert browsed(shelf, offset=100) == ([], 4)
    assert browsed(shelf, filters=Filters(year_min=3000)) == ([], 0)


def test_browsing_filters_what_it_counts(shelf: Session) -> None:
    drama = Filters(genre=("Drama",))
    assert browsed(shelf, filters=drama, limit=1)[1] == 2
    assert set(browsed(shelf, filters=drama, include_adult=True)[0]) == {1, 2, 5}


def test_genres_are_counted_without_adult_films(shelf: Session) -> None:
    assert genre_counts(shelf, include_adult=False) == [("Comedy", 1), ("Drama", 2), ("War", 1)]
    assert ("Drama", 3) in genre_counts(shelf, include_adult=True)


def test_a_film_is_found_by_either_id(shelf: Session) -> None:
    assert get_detail(shelf, 1, include_adult=False)["title"] == "Known"
    assert get_detail(shelf, "tt0000001", include_adult=False)["id"] == 1
    assert find_refs(shelf, [2, "tt0000001", 999, "tt9999999"]) == {2: 2, "tt0000001": 1}


@pytest.mark.parametrize("ref", [999, "tt9999999", 5])
def test_a_film_that_is_not_there_or_not_shown_is_not_found(shelf: Session, ref: int | str) -> None:
    with pytest.raises(MovieNotFoundError, match=str(ref)):
        get_detail(shelf, ref, include_adult=False)


# The text of an embedding


def test_the_text_is_title_overview_and_genres(session: Session) -> None:
    put(session, film(1, "Toy Story", overview="Toys live.", genres=["Animation", "Comedy"], keywords=["toy"]))
    assert value(session, "embedding_text(movies)") == "Toy Story | Toys live. | Animation, Comedy"


def test_without_an_overview_people_year_and_keywords_stand_in_its_place(session: Session) -> None:
    people = {"directors": ["John Lasseter"], "actors": ["Tom Hanks", "Tim Allen"]}
    put(session, film(1, "Toy Story", genres=["Animation"], keywords=["toy", "boy"], release_year=1995, **people))
    put(session, film(2, "Bare"), film(3, "Blank", overview="   ", directors=["A"]))
    assert value(session, "embedding_text(movies)") == (
        "Toy Story | John Lasseter, Tom Hanks, Tim Allen, 1995, toy, boy | Animation"
    )
    assert value(session, "embedding_text(movies)", 2) == "Bare |  | "
    assert value(session, "embedding_text(movies)", 3) == "Blank | A | "


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE movies SET title = 'Another'",
        "UPDATE movies SET overview = 'Another'",
        "UPDATE movies SET overview = NULL",
        "UPDATE movies SET genres = '{Drama}'",
        "UPDATE movies SET title = 'Another', vote_count = 5",
        "UPDATE movies SET text_hash = NULL, title = 'Another'",
    ],
)
def test_a_changed_text_waits_for_its_embedding_whoever_changed_it(session: Session, change: str) -> None:
    put(session, film(1, overview="Overview.", genres=["War"]))
    embed(session, 1)
    assert pending(session) == []
    before = value(session, "text_hash")
    session.execute(text(change))
    assert value(session, "text_hash") != before
    assert pending(session) == [1]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE movies SET vote_count = 5, vote_average = 9, popularity = 7",
        "UPDATE movies SET title = title, overview = overview",
        "UPDATE movies SET keywords = '{new}', directors = '{New}'",
        "UPDATE movies SET release_date = '1999-01-01'",
        "UPDATE movies SET text_hash = 'nonsense'",
        "UPDATE movies SET budget = 3000000000, adult = true, poster_path = '/p.jpg'",
    ],
)
def test_what_does_not_change_the_text_needs_no_new_embedding(session: Session, change: str) -> None:
    put(session, film(1, overview="Overview."))
    embed(session, 1)
    before = value(session, "text_hash")
    session.execute(text(change))
    assert value(session, "text_hash") == before
    assert pending(session) == []


def test_films_with_one_text_have_one_hash(session: Session) -> None:
    put(session, film(1, overview="Same."), film(2, overview="Same."), film(3, overview="Different."))
    hashes = [value(session, "text_hash", number) for number in (1, 2, 3)]
    assert hashes[0] == hashes[1] != hashes[2]


# What waits


def test_the_best_known_are_embedded_first_and_the_next_follow(session: Session) -> None:
    put(session, film(1, vote_count=5), film(2, vote_count=9), film(3, vote_count=5), film(4))
    first = claim_pending(session, model=MODEL, limit=2)
    assert [waiting.id for waiting in first] == [2, 3]
    assert first[0].text == "A film |  | "
    assert [waiting.id for waiting in claim_pending(session, model=MODEL, limit=9, after=first[-1])] == [1, 4]


def test_what_is_embedded_no_longer_waits_until_the_model_is_another(session: Session) -> None:
    put(session, film(1), film(2))
    embed(session, 1)
    assert pending(session) == [2]
    assert pending(session, "another-model") == [2, 1]
    embed(session, 1, model="another-model")
    assert pending(session) == [2, 1]
    assert value(session, "embedding")[:4] == "[1,0"


def test_an_old_vector_of_unknown_origin_is_made_anew(session: Session) -> None:
    put(session, film(1))
    session.execute(text("UPDATE movies SET embedding = array_fill(1, ARRAY[384])::vector"))
    assert pending(session) == [1]


def test_coverage_counts_current_vectors_only(session: Session) -> None:
    assert coverage(session, model=MODEL).percentage == 100.0
    put(session, *(film(number) for number in range(1, 5)))
    embed(session, 1, 2, 3)
    session.execute(text("UPDATE movies SET title = 'Another' WHERE id = 1"))
    counts = coverage(session, model=MODEL)
    assert (counts.total_movies, counts.with_embeddings, counts.pending) == (4, 2, 2)
    assert counts.percentage == 50.0


def test_a_claim_passes_over_what_another_holds_until_that_one_is_gone(own_engine: Engine) -> None:
    with Session(own_engine) as setup, setup.begin():
        put(setup, *(film(number, vote_count=number) for number in range(1, 7)))
    with Session(own_engine) as one, Session(own_engine) as other:
        other.execute(text("SET lock_timeout = '2s'"))
        assert [waiting.id for waiting in claim_pending(one, model=MODEL, limit=2)] == [6, 5]
        assert [waiting.id for waiting in claim_pending(other, model=MODEL, limit=2)] == [4, 3]
        one.rollback()
        other.rollback()
        assert pending(other) == [6, 5, 4, 3, 2, 1]


def test_a_claim_holds_back_neither_readers_nor_ratings(own_engine: Engine) -> None:
    """A foreign key's check must not wait for the model."""
    with Session(own_engine) as setup, setup.begin():
        put(setup, film(1))
        setup.execute(text("INSERT INTO users (external_id) VALUES ('anna')"))
    with Session(own_engine) as embedding, Session(own_engine) as rating:
        assert claim_pending(embedding, model=MODEL, limit=1)
        rating.execute(text("SET lock_timeout = '2s'"))
        rating.execute(text("INSERT INTO interactions (user_id, movie_id, kind) SELECT id, 1, 'like' FROM users"))
        assert not is_empty(rating)
