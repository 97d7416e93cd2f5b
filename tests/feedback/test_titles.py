"""A film that is known by its title is found however the title is written, or waited for, by the same rules."""

import datetime as dt

import pytest
from sqlalchemy.orm import Session

from backend.feedback.records import NewInteraction
from backend.feedback.store import history, record
from backend.models import Movie

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
Known = tuple[int, str, str | None, int]


def like(title: str, year: int | None) -> NewInteraction:
    return NewInteraction("ada", "like", None, NOW, None, None, title, year)


def add(session: Session, *films: Known) -> None:
    for id_, title, original_title, year in films:
        session.add(Movie(id=id_, title=title, original_title=original_title, release_year=year, vote_count=id_))
    session.flush()


SPIRITED = (129, "Spirited Away", "千と千尋の神隠し", 2001)
CASES: list[tuple[list[Known], str, int | None, int | None]] = [
    ([SPIRITED], "Spirited Away", 2001, 129),
    ([SPIRITED], "spirited  away!", 2001, 129),
    ([SPIRITED], "千と千尋の神隠し", 2001, 129),
    ([SPIRITED], "Spirited", 2001, None),
    ([SPIRITED], "Spirited Away", None, None),
    ([(161, "Ocean's Eleven", "Ocean's Eleven", 2001)], "Ocean’s Eleven", 2001, 161),
    ([(290, "ÉTÉ – 85", None, 2020)], "été-85", 2020, 290),
    ([(291, "$", None, 1971), (292, "!", None, 1971)], "$", 1971, 291),
    # A festival is often the year before.
    ([SPIRITED], "Spirited Away", 2002, 129),
    ([SPIRITED], "Spirited Away", 2000, 129),
    ([SPIRITED], "Spirited Away", 2003, None),
    # The year that is right decides; where it is between two, nothing does.
    ([(1, "Twins", None, 2000), (2, "Twins", None, 2001)], "Twins", 2000, 1),
    ([(1, "Twins", None, 2000), (2, "Twins", None, 2001)], "Twins", 2002, 2),
    ([(1, "Twins", None, 2000), (2, "Twins", None, 2002)], "Twins", 2001, None),
    ([(1, "Twins", None, 2000), (2, "Zwillinge", "Twins", 2002)], "Twins", 2001, None),
    # Of two that fit alike the better known.
    ([(1, "Twins", None, 2000), (2, "Twins", None, 2000)], "Twins", 2000, 2),
]


@pytest.mark.parametrize(("films", "title", "year", "found"), CASES)
def test_a_film_is_found_by_its_title(
    session: Session, films: list[Known], title: str, year: int | None, found: int | None
) -> None:
    add(session, *films)
    recorded = record(session, [like(title, year)])
    assert (recorded.stored, len(recorded.pending)) == ((1, 0) if found else (0, 1))
    assert history(session, "ada", limit=9, offset=0)[0][0].movie_id == found


@pytest.mark.parametrize(("films", "title", "year", "found"), CASES)
def test_a_film_that_arrives_is_known_by_the_same_rules(
    session: Session, films: list[Known], title: str, year: int | None, found: int | None
) -> None:
    record(session, [like(title, year)])
    add(session, *films)
    ((item,), _) = history(session, "ada", limit=9, offset=0)
    assert (item.movie_id, item.pending) == (found, found is None)


def test_of_what_waits_for_a_film_under_two_titles_the_newest_counts(session: Session) -> None:
    later = NewInteraction("ada", "rating", 5, NOW + dt.timedelta(days=1), None, None, "Spirited Away", 2001)
    record(session, [later, NewInteraction("ada", "rating", 2, NOW, None, None, "千と千尋の神隠し", 2001)])
    add(session, SPIRITED)
    assert [(item.movie_id, item.value) for item in history(session, "ada", limit=9, offset=0)[0]] == [(129, 5)]
