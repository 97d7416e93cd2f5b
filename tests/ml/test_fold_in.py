"""What a person thinks of films, from the file as from the database."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from backend.catalog.records import MovieRecord
from backend.catalog.store import upsert
from backend.feedback.weights import EVIDENCE, KINDS, RATING_EVIDENCE, Kind, interaction_weight
from backend.ml.answer import NOT_A_VERDICT, NOT_SEEN
from backend.ml.cache_store import stream_people
from backend.ml.fold_in import evidence, films_done, opinions
from backend.ml.people_store import ACT, KIND_NUMBER, Acts
from backend.ml.pgvector_statements import Scope, Taste
from backend.models import Movie
from tests.conftest import rolled_back

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FILMS = (1, 2, 3, 500, 2**31 - 1)
INSERT = text("""
    WITH person AS (
        INSERT INTO users (external_id) VALUES ('anna')
        ON CONFLICT (external_id) DO UPDATE SET external_id = 'anna' RETURNING id
    )
    INSERT INTO interactions (user_id, movie_id, kind, value, at) SELECT id, :film, :kind, :value, :at FROM person
""")


@dataclass(frozen=True)
class Did:
    """One act of a person."""

    film: int
    kind: Kind
    value: float | None
    at: dt.datetime


moments = st.one_of(
    st.sampled_from([NOW, NOW - dt.timedelta(microseconds=1), NOW - dt.timedelta(days=1)]),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2026, 1, 1), timezones=st.just(dt.UTC)),
)
ratings = st.integers(1, 10).map(lambda halves: halves / 2) | st.floats(0.5, 5, width=32)
acts_made = st.builds(
    lambda film, kind, value, at: Did(film, kind, value if kind == "rating" else None, at),
    st.sampled_from(FILMS),
    st.sampled_from(KINDS),
    ratings,
    moments,
)
histories = st.lists(acts_made, unique_by=lambda act: (act.film, act.kind), max_size=25)


@pytest.fixture(scope="module")
def films(engine: Engine) -> Iterator[Session]:
    """A database of some films that nobody did anything with."""
    with rolled_back(engine) as session:
        upsert(session, [MovieRecord(id=number, title=f"Film {number}") for number in FILMS], source="file")
        yield session


def in_the_file(session: Session, history: list[Did]) -> Acts:
    """The acts as they get into the file, by way of the database."""
    for did in history:
        session.execute(INSERT, vars(did))
    return next((person.acts for person in stream_people(session)), np.empty(0, dtype=ACT))


@settings(max_examples=60, deadline=None)
@given(histories)
@example([])
@example([Did(1, kind, 5.0 if kind == "rating" else None, NOW) for kind in KINDS])
def test_the_file_has_the_opinions_that_the_database_has(films: Session, history: list[Did]) -> None:
    with films.begin_nested() as savepoint:
        acts = in_the_file(films, history)
        given = Taste.of_person("anna").opinions
        rows = films.execute(select(given).order_by(given.c.movie_id)).all()
        for not_counting in (NOT_A_VERDICT, NOT_SEEN, ()):
            scope = Scope(model="", include_adult=True, unless_done_by="anna", not_counting=not_counting)
            left = set(films.scalars(select(Movie.id).where(scope.condition())))
            assert set(films_done(acts, not_counting=not_counting).tolist()) == set(FILMS) - left
        savepoint.rollback()
    ids, weights = opinions(acts)
    assert ids.tolist() == [row.movie_id for row in rows]
    np.testing.assert_allclose(weights, [row.weight for row in rows], atol=1e-6, rtol=1e-6)
    assert (ids.dtype, weights.dtype) == (np.int32, np.float32)


@given(st.sampled_from(KINDS), ratings, st.floats(0, 40_000))
def test_a_single_act_weighs_what_the_formula_says(kind: Kind, value: float, age_days: float) -> None:
    then = NOW.timestamp() - age_days * 86_400
    rated = value if kind == "rating" else None
    acts = np.array(
        [(1, KIND_NUMBER[kind], np.nan if rated is None else rated, then), (2, 1, np.nan, NOW.timestamp())],
        dtype=ACT,
    )
    _, weights = opinions(acts)
    weight = interaction_weight(kind, rated, age_days)
    assert weights == pytest.approx([weight, 1.0], abs=1e-6)


@given(st.sampled_from(KINDS), ratings, st.floats(0, 40_000))
def test_to_a_training_an_act_tells_as_much_however_old_it_is(kind: Kind, value: float, age_days: float) -> None:
    then = NOW.timestamp() - age_days * 86_400
    rated = value if kind == "rating" else np.nan
    acts = np.array([(1, KIND_NUMBER[kind], rated, then), (2, 1, np.nan, NOW.timestamp())], dtype=ACT)
    told = EVIDENCE.get(kind)
    if told is None:
        told = float(np.interp(value, range(len(RATING_EVIDENCE)), RATING_EVIDENCE))
    ids, weights = evidence(acts)
    expected = {film: weight for film, weight in {1: told, 2: EVIDENCE["like"]}.items() if weight > 0}
    assert dict(zip(ids.tolist(), weights.tolist(), strict=True)) == pytest.approx(expected, abs=1e-6)


@given(histories)
def test_a_training_goes_by_the_newest_acts_and_never_below_zero(history: list[Did]) -> None:
    rows = [
        (did.film, KIND_NUMBER[did.kind], np.nan if did.value is None else did.value, did.at.timestamp())
        for did in history
    ]
    acts = np.array(rows, dtype=ACT)
    ids, weights = evidence(acts)
    assert (weights > 0).all()
    assert (weights <= 1).all()
    assert set(ids.tolist()) <= set(opinions(acts)[0].tolist())
    assert (np.diff(ids) > 0).all()


@given(histories, st.randoms())
def test_the_order_of_acts_does_not_matter(history: list[Did], random: "np.random.Generator") -> None:
    def folded() -> list[list[float]]:
        rows = [
            (did.film, KIND_NUMBER[did.kind], np.nan if did.value is None else did.value, did.at.timestamp())
            for did in history
        ]
        return [part.tolist() for part in opinions(np.array(rows, dtype=ACT))]

    before = folded()
    random.shuffle(history)
    assert folded() == before
