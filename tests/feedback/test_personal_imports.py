"""An export of Letterboxd, IMDb or Trakt becomes what its person did, once, and nothing that they did not say."""

import datetime as dt
import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from backend.database import session_scope
from backend.errors import UnusableFileError, UsageError
from backend.feedback import imports, store
from backend.feedback.imports import import_ratings, import_upload
from backend.feedback.weights import Kind
from backend.models import Movie
from tests.feedback.exports import (
    DIARY,
    FILMS,
    IMDB_RATINGS,
    IMDB_WATCHLIST,
    LETTERBOXD,
    RATINGS,
    TRAKT,
    WATCHED,
    packed,
)

Done = set[tuple[int | str | None, str, float | None, str]]


@pytest.fixture
def films(own_engine: Engine) -> None:
    """The films of the exports, but for those that were never made."""
    with session_scope() as session:
        session.add_all(Movie(**film) for film in FILMS)


def done(person: str = "ada") -> Done:
    """What is held of a person: the film, or the title of one that is pending; kind, value, day."""
    with session_scope() as session:
        items, _ = store.history(session, person, limit=100, offset=0)
    return {
        (item.title if item.pending else item.movie_id, item.kind, item.value, f"{item.at:%Y-%m-%d}")
        for item in items
    }


LETTERBOXD_SAYS: Done = {
    (862, "watched", None, "2024-02-28"),
    (862, "rating", 4.5, "2024-02-01"),
    (603, "watched", None, "2024-02-02"),
    (603, "rating", 0.5, "2024-02-02"),
    (578, "watched", None, "2024-01-03"),
    ("A Film, Never Made", "watched", None, "2024-01-04"),
    (161, "like", None, "2024-02-01"),
    (129, "watchlist", None, "2024-04-01"),
}


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize("below", ["", "letterboxd-someone-2024-05-01/"])
def test_a_letterboxd_export_is_read_whole(below: str) -> None:
    summary = import_upload(packed(LETTERBOXD, below=below), "ada")
    assert done() == LETTERBOXD_SAYS
    assert str(summary) == "13 read: 7 stored, 3 merged, 1 pending, 2 rejected; 8 new or changed"
    assert [film.title for film in summary.pending_films] == ["A Film, Never Made"]
    assert [reason.removeprefix(below) for reason in summary.reasons] == [
        "ratings.csv, line 4: rating '6' is not between 0.5 and 5",
        "watchlist.csv, line 3: year '': a title alone does not tell which film it is",
    ]


@pytest.mark.usefixtures("films")
def test_so_is_its_folder_by_command(tmp_path: Path) -> None:
    for name, content in LETTERBOXD.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    import_ratings(tmp_path, "ada")
    assert done() == LETTERBOXD_SAYS


@pytest.mark.usefixtures("films")
def test_imdb_exports_are_read_by_id_and_by_type() -> None:
    summary = import_upload(IMDB_RATINGS.encode(), "ada")
    assert done() == {
        (862, "rating", 4.5, "2024-02-01"),
        (603, "rating", 0.5, "2024-02-02"),
        ("Made for Television", "rating", 3.5, "2024-02-04"),
    }
    assert dict(summary.left_alone) == {"TV Series": 1, "tvEpisode": 1}
    assert summary.reasons == [
        "the file, line 7: Const 'nm0000001' is no IMDb id",
        "the file, line 8: rating '11' is not between 1 and 10",
    ]
    assert str(summary) == (
        "7 read: 2 stored, 0 merged, 1 pending, 2 rejected, left alone: 1 TV Series, 1 tvEpisode; 3 new or changed"
    )


@pytest.mark.usefixtures("films")
def test_an_imdb_watchlist_may_have_ratings_too() -> None:
    import_upload(IMDB_WATCHLIST.encode(), "ada")
    assert done() == {
        (129, "watchlist", None, "2024-04-01"),
        (578, "watchlist", None, "2024-04-02"),
        (578, "rating", 4.0, "2024-05-01"),
    }


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize("below", ["", "someone/"])
def test_a_trakt_export_is_read_whole(below: str) -> None:
    summary = import_upload(packed(TRAKT, below=below), "ada")
    assert done() == {
        (862, "rating", 4.5, "2024-02-01"),
        (862, "watched", None, "2024-01-05"),
        ("Never Made", "watched", None, "2024-01-06"),
        (603, "watchlist", None, "2024-04-01"),
        (578, "like", None, "2024-04-01"),
    }
    assert dict(summary.left_alone) == {"episode": 1, "neither rated, watched nor listed": 1}
    assert (summary.stored, summary.merged, summary.pending, summary.rejected) == (4, 1, 1, 1)


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize("content", [packed(LETTERBOXD), IMDB_RATINGS.encode(), packed(TRAKT)])
def test_repeating_an_import_changes_nothing(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    first = import_upload(content, "ada")
    held = done()
    monkeypatch.setattr(imports, "BATCH", 2)
    second = import_upload(content, "ada")
    assert str(second).endswith("; nothing to do")
    assert (second.read, second.stored, second.pending) == (first.read, first.stored, first.pending)
    assert done() == held


@pytest.mark.usefixtures("films")
def test_not_rated_is_watched_and_never_a_dislike() -> None:
    import_upload(WATCHED.encode(), "ada", listed_as="watched")
    import_upload(RATINGS.replace(",4.5", ",").encode(), "bob")
    assert {kind for _, kind, _, _ in done()} == {"watched"}
    assert (862, "watched", None, "2024-02-01") in done("bob")


@pytest.mark.usefixtures("films")
def test_what_was_said_here_later_stays() -> None:
    import_upload(RATINGS.encode(), "ada")
    import_upload(RATINGS.replace("2024", "2023").replace("4.5", "1.0").encode(), "ada")
    assert (862, "rating", 4.5, "2024-02-01") in done()


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize(
    ("name", "kind"),
    [("watchlist.csv", "watchlist"), ("watchlist-ada-2024-01-01.csv", "watchlist"), ("films.csv", "like")],
)
def test_a_list_by_itself_is_told_by_its_name(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_text(WATCHED)
    import_ratings(tmp_path / name, "ada")
    assert {kind for _, kind, _, _ in done()} == {kind}


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize("kind", ["watched", "watchlist", "like"])
def test_or_by_whoever_sends_it(kind: Kind) -> None:
    with pytest.raises(UnusableFileError, match=r"does not say what it lists.*\?kind=watched"):
        import_upload(WATCHED.encode(), "ada")
    import_upload(WATCHED.encode(), "ada", listed_as=kind)
    assert {kind for _, kind, _, _ in done()} == {kind}


@pytest.mark.usefixtures("films")
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CR LF"])
def test_marks_and_line_ends_make_no_difference(mark: bytes, end: bytes) -> None:
    import_upload(mark + DIARY.encode().replace(b"\n", end), "ada")
    assert {(862, "watched", None, "2024-02-28"), (603, "rating", 3.0, "2024-02-02")} <= done()


@pytest.mark.usefixtures("films")
def test_columns_may_stand_in_another_order_and_have_company() -> None:
    content = "Rating,Mood,year,Name,Date\n4,fine,1995,Toy Story,2024-02-01\n4,fine,1995,Toy Story\n"
    summary = import_upload(content.encode(), "ada")
    assert done() == {(862, "rating", 4.0, "2024-02-01")}
    assert summary.reasons == ["the file, line 3: 4 columns in place of 5"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (RATINGS.replace("Name,Year,", "Film,", 1), "looks like Letterboxd's, but has no column Name, Year"),
        (IMDB_RATINGS.replace("Date Rated", "When", 1), "looks like IMDb's, but has no column Date Rated"),
        (IMDB_RATINGS.replace("Const", "Id", 1), "looks like IMDb's, but has no column Const"),
        (json.dumps(TRAKT["ratings-movies.json"])[:-1], "looks like Trakt's, but is no JSON"),
        ("movieId,userId,rating\n1,1,1\n", r"MovieLens file, of many people.*movie_pipeline.py --ratings"),
        ("title,stars\nHeat,5\n", "no ratings that are understood here: an export of Letterboxd"),
        ('{"movies": []}', "no ratings that are understood here"),
        ("", "no ratings that are understood here"),
    ],
)
def test_what_can_not_be_read_is_told_with_what_it_was_taken_for(content: str, told: str) -> None:
    with pytest.raises(UnusableFileError, match=told):
        import_upload(content.encode(), "ada")


def test_files_of_two_services_come_one_by_one() -> None:
    with pytest.raises(UnusableFileError, match="files of Letterboxd and IMDb: import them one by one"):
        import_upload(packed({"a.csv": RATINGS, "b.csv": IMDB_RATINGS}), "ada")


def test_whose_an_export_is_has_to_be_said(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    with pytest.raises(
        UsageError, match=r"ratings.csv is Letterboxd's, of one person: say who that is with --user-id"
    ):
        import_ratings(tmp_path / "ratings.csv")


@pytest.mark.usefixtures("films")
def test_where_it_is_tomorrow_already_it_counts_as_today() -> None:
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(hours=12)
    content = RATINGS.replace("2024-02-01", f"{tomorrow:%Y-%m-%d}").replace("2024-02-02", "2999-01-01")
    summary = import_upload(content.encode(), "ada")
    with session_scope() as session:
        ((item,), _) = store.history(session, "ada", limit=9, offset=0)
    assert (item.movie_id, item.at <= dt.datetime.now(dt.UTC)) == (862, True)
    assert "date '2999-01-01' is in the future, or before 1900" in summary.reasons[0]
