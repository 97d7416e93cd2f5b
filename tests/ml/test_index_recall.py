"""What recall is measured on, and that it is what is found of what should be."""

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from backend.catalog.filters import NO_FILTERS, Filters
from backend.config import PACKAGED_MODEL
from backend.ml import index_recall
from backend.ml.answer import Rows, Window
from backend.ml.index_recall import Comparison, Recall, Series, draw
from backend.ml.list_statements import Scope
from tests.ml.checkerboard import ADULT, NO_VECTOR, World

SCOPE = Scope(model=PACKAGED_MODEL, include_adult=False)


@pytest.fixture
def here(world: World) -> Iterator[Session]:
    """A session on the checkerboard whose work is gone after the test."""
    with Session(world.engine) as session:
        yield session
        session.rollback()


def drawn(session: Session, world: World) -> dict[tuple[str, str, Filters], Series]:
    """All of it, by what is asked for, how it is drawn, and the filters."""
    every = draw(session, world.settings)
    return {(series.answers, series.sampled, series.scope.filters): series for series in every}


def test_films_and_people_are_drawn_in_both_ways_and_asked_for_with_filters(here: Session, world: World) -> None:
    series = drawn(here, world)
    answers = {"similar_by_embedding", "similar", "recommendations"}
    assert {key[:2] for key in series} == {(name, way) for name in answers for way in ("uniformly", "by_traffic")}
    for name in answers:
        genre, decade = sorted(
            (filters for one, way, filters in series if one == name and filters != NO_FILTERS),
            key=lambda filters: filters.year_min or 0,
        )
        assert genre.genre
        assert decade.genre
        assert decade.year_min
        assert decade.year_max == decade.year_min + 9


def test_only_films_that_can_be_found_are_asked_about(here: Session, world: World) -> None:
    films = {
        film
        for (name, *_), series in drawn(here, world).items()
        if name != "recommendations"
        for film in series.subjects
    }
    assert films
    assert films.isdisjoint({*ADULT, *NO_VECTOR})


def test_the_same_is_drawn_every_night(here: Session, world: World) -> None:
    assert drawn(here, world) == drawn(here, world)


def test_by_traffic_is_by_what_people_did_with_films(here: Session, world: World) -> None:
    with_acts = set(here.scalars(text("SELECT movie_id FROM interactions")))
    by_traffic = drawn(here, world)["similar", "by_traffic", NO_FILTERS].subjects
    uniformly = drawn(here, world)["similar", "uniformly", NO_FILTERS].subjects
    assert with_acts.issuperset(by_traffic)
    assert not with_acts.issuperset(uniformly)


def test_where_nobody_did_anything_it_is_by_votes(here: Session, world: World) -> None:
    here.execute(text("DELETE FROM interactions"))
    votes = {film.id: film.vote_count for film in here.execute(text("SELECT id, vote_count FROM movies"))}
    means = {
        way: np.mean([votes[film] for film in drawn(here, world)["similar", way, NO_FILTERS].subjects])
        for way in ("uniformly", "by_traffic")
    }
    assert means["by_traffic"] > 1.2 * means["uniformly"]
    assert ("recommendations", "uniformly", NO_FILTERS) not in drawn(here, world)


def test_without_an_index_nothing_is_missed(here: Session, world: World) -> None:
    for series in drawn(here, world).values():
        comparison = Comparison(here, series)
        told = comparison.told(comparison.shares())
        assert told["queries"] > 0
        if told["answers"] != "recommendations" or told["filters"]:
            assert told["recall_at_10"] == 1.0


def test_what_is_missed_counts_and_a_tie_does_not(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = [{"id": film, "score": 1 - film / 100} for film in range(1, 11)]
    equal = [{"id": 99, "score": exact[-1]["score"]}]

    def answers(found: Rows) -> float:
        def rows(series: Series, session: Session, subject: int, window: Window) -> Rows:
            return exact if window.exact else found

        monkeypatch.setattr(Series, "rows", rows)
        series = Series(answers="similar", sampled="uniformly", scope=SCOPE, subjects=(1,))
        return float(Comparison(here, series).shares()[0])

    assert answers(exact) == 1.0
    assert answers(exact[:9] + equal) == 1.0
    assert answers(exact[:9]) == 0.9
    assert answers([*exact[:7], {"id": 98, "score": 0.1}]) == 0.7
    assert answers([]) == 0.0


def test_a_small_sample_is_less_sure_than_a_large_one() -> None:
    shares = np.array([1.0, 0.9] * 10)
    few, many = Recall.of(shares), Recall.of(np.tile(shares, 20))
    assert (few.mean, many.mean) == (pytest.approx(0.95), pytest.approx(0.95))
    assert few.surely < many.surely < 0.95
    assert Recall.of(np.array([])) == (1.0, 0.0)


def test_filters_are_told_as_a_client_would_ask_for_them() -> None:
    filters = Filters(genre=("Science Fiction",), year_min=1980, year_max=1989)
    assert index_recall.as_parameters(filters) == "genre=Science+Fiction&year_min=1980&year_max=1989"
    assert index_recall.as_parameters(NO_FILTERS) is None
