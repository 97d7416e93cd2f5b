"""Imports: every usable row of a MovieLens folder arrives once, whatever stands around it."""

from pathlib import Path
from zipfile import ZipFile

import pytest
from sqlalchemy import Engine, text

from backend.database import session_scope
from backend.errors import UsageError
from backend.feedback import imports, store
from backend.feedback.imports import import_ratings
from backend.feedback.records import Counts, Recorded
from backend.models import Movie

LINKS = """movieId,imdbId,tmdbId
1,0114709,862
2,0113497,8844
3,0270288,4912
4,0270288,4912
5,0056600,
6,,
7,9999999,999999
8,0078748,348
9,not enough columns
"""
MOVIES = """movieId,title,genres
1,Toy Story (1995),Animation
6,"American President, The (Präsident, Der) (1995)",Comedy
10,Heat (1995),Crime
11,Babylon 5,Sci-Fi
"""
GOOD = """userId,movieId,rating,timestamp
1,1,4.0,964982703
1,2,0.5,964982704
1,3,3.5,964982705
1,4,4.5,964982706
1,5,5.0,964982707
1,6,2.5,964982708
1,7,1.0,964982709
2,1,4.5,964982710
2,10,3.0,964982711
2,11,3.0,964982712
3,8,2.0,964982713
3,1,5,964982714
"""
BAD = """1,1,four,964982703
1,1,nan,964982703
1,1,5.5,964982703
1,1,0,964982703
1,99,4.0,964982703
1,9,4.0,964982703
1,1,4.0,yesterday
1,1,4.0,99999999999
1,1,4.0,99999999999999999999
x,1,4.0,964982703
1,1,4.0
"1,1,4.0,964982703

"""
FILMS = [
    (862, "tt0114709", "Toy Story", 1995),
    (8844, "tt0113497", "Jumanji", 1995),
    (4912, "tt0270288", "Confessions of a Dangerous Mind", 2002),
    (555, "tt0056600", "Known by its IMDb id", 1962),
    (9087, None, "The American President", 1995),
    (949, "tt0113277", "Heat", 1995),
    (348, "tt0078748", "Alien", 1979),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A MovieLens folder with every trap of the real one, and lines that are none of its."""
    (tmp_path / "links.csv").write_text(LINKS)
    (tmp_path / "movies.csv").write_text(MOVIES)
    # As the real file: lines that end in CR LF.
    (tmp_path / "ratings.csv").write_bytes((GOOD + BAD).replace("\n", "\r\n").encode())
    return tmp_path


@pytest.fixture
def films(own_engine: Engine) -> None:
    """The films of the folder, but one."""
    with session_scope() as session:
        session.add_all(
            Movie(id=id_, imdb_id=imdb_id, title=title, release_year=year) for id_, imdb_id, title, year in FILMS
        )


@pytest.mark.usefixtures("films")
def test_what_is_usable_arrives_and_what_is_not_is_named(folder: Path) -> None:
    summary = import_ratings(folder)
    assert (summary.read, summary.stored, summary.merged) == (24, 9, 1)
    assert (summary.pending, summary.rejected) == (2, 12)
    assert (summary.changed, summary.pending_new) == (9, 2)
    assert str(summary) == "24 read: 9 stored, 1 merged, 2 pending, 12 rejected; 11 new or changed"
    assert summary.reasons == [
        "ratings.csv, line 14: rating 'four' is not a number",
        "ratings.csv, line 15: rating 'nan' is not between 0.5 and 5",
        "ratings.csv, line 16: rating '5.5' is not between 0.5 and 5",
        "ratings.csv, line 17: rating '0' is not between 0.5 and 5",
        "ratings.csv, line 18: movieId '99' is neither in links.csv nor in movies.csv",
        "ratings.csv, line 19: movieId '9' is neither in links.csv nor in movies.csv",
        "ratings.csv, line 20: timestamp 'yesterday' is not a number of seconds since 1970",
        "ratings.csv, line 21: timestamp '99999999999' is in the future, or before 1900",
        "ratings.csv, line 22: timestamp '99999999999999999999' is not a number of seconds since 1970",
        "ratings.csv, line 23: userId 'x' is not a number",
        "ratings.csv, line 24: 3 columns in place of 4",
        "ratings.csv, line 25: 1 columns in place of 4",
    ]


@pytest.mark.usefixtures("films")
def test_each_film_is_found_by_what_the_folder_knows_of_it(folder: Path) -> None:
    import_ratings(folder)
    with session_scope() as session:
        items, _ = store.history(session, "1", limit=100, offset=0)
    assert [(item.movie_id, item.value, item.pending) for item in reversed(items)] == [
        (862, 4.0, False),
        (8844, 0.5, False),
        (4912, 4.5, False),
        (555, 5.0, False),
        (9087, 2.5, False),
        (999999, 1.0, True),
    ]
    assert items[-1].at.isoformat() == "2000-07-30T18:45:03+00:00"


@pytest.mark.usefixtures("films")
def test_a_second_run_has_nothing_to_do(folder: Path) -> None:
    first = import_ratings(folder)
    second = import_ratings(folder)
    assert (second.changed, second.pending_new) == (0, 0)
    assert str(second).endswith("nothing to do")
    assert (second.stored, second.merged, second.pending) == (first.stored, first.merged, first.pending)


@pytest.mark.usefixtures("films")
def test_small_batches_come_to_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 1)
    summary = import_ratings(folder)
    assert (summary.stored, summary.merged, summary.pending) == (9, 1, 2)


@pytest.mark.usefixtures("films")
def test_a_file_in_another_order_leaves_the_same_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, *rows = GOOD.splitlines()
    (folder / "ratings.csv").write_text("\n".join([header, *sorted(rows, key=lambda row: row[::-1])]))
    monkeypatch.setattr(imports, "BATCH", 1)
    import_ratings(folder)
    with session_scope() as session:
        assert store.counts(session) == Counts(interactions=9, people=3, pending=2)
        (confessions,) = session.scalars(text("SELECT value FROM interactions WHERE movie_id = 4912"))
    assert confessions == 4.5


@pytest.mark.usefixtures("films")
def test_an_interrupted_import_keeps_what_it_has_done_and_the_next_completes_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH", 1)
    calls = iter([None, None])

    def interrupted(*arguments: object) -> Recorded:
        try:
            next(calls)
        except StopIteration:
            raise KeyboardInterrupt from None
        return store.record(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(imports, "record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            import_ratings(folder)
    with session_scope() as session:
        assert store.counts(session) == Counts(interactions=7, people=2, pending=2)
    assert import_ratings(folder).changed == 2


@pytest.mark.usefixtures("own_engine")
def test_ratings_may_come_before_their_films(folder: Path) -> None:
    summary = import_ratings(folder)
    assert (summary.stored, summary.pending, summary.merged) == (0, 11, 1)
    with session_scope() as session:
        for id_, imdb_id, title, year in FILMS:
            session.add(Movie(id=id_, imdb_id=imdb_id, title=title, release_year=year))
    with session_scope() as session:
        assert store.counts(session) == Counts(interactions=9, people=3, pending=2)


@pytest.mark.usefixtures("films")
def test_a_folder_without_movies_csv_is_enough(folder: Path) -> None:
    (folder / "movies.csv").unlink()
    summary = import_ratings(folder)
    assert (summary.stored, summary.pending, summary.rejected) == (7, 1, 15)


@pytest.mark.usefixtures("own_engine")
@pytest.mark.parametrize("missing", ["ratings.csv", "links.csv"])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=f"There is no file .*{missing}"):
        import_ratings(folder)


@pytest.mark.usefixtures("own_engine")
@pytest.mark.parametrize("name", ["ratings.csv", "links.csv", "movies.csv"])
@pytest.mark.parametrize("content", [b"", b"id,name\n1,2\n", b"\x00\xff\xfe" * 1000])
def test_a_file_of_another_kind_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"{name} is not MovieLens"):
        import_ratings(folder)


@pytest.mark.usefixtures("own_engine")
def test_one_table_of_it_is_not_enough(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file links.csv: give the whole folder"):
        import_ratings(folder / "ratings.csv")


@pytest.mark.usefixtures("films")
def test_a_zip_is_as_good_as_the_folder(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "ml-tiny.zip"
    with ZipFile(archive, "w") as file:
        for path in folder.glob("*.csv"):
            file.write(path, f"ml-tiny/{path.name}")
    assert str(import_ratings(archive)) == (
        "24 read: 9 stored, 1 merged, 2 pending, 12 rejected; 11 new or changed"
    )


@pytest.mark.usefixtures("own_engine")
def test_it_names_its_people_itself(folder: Path) -> None:
    with pytest.raises(UsageError, match="of many people: leave --user-id out"):
        import_ratings(folder, "ada")
