"""The command lines: what they do, that they do it once, and one clear line where they can't."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

import movie_pipeline
from backend import __main__ as backend_main
from backend import cli, config, database, generate_embeddings
from backend.catalog import queue_store
from backend.embedded_postgres import EmbeddedPostgres
from backend.errors import UsageError
from backend.migrations import migrate
from backend.ml.encoder import Encoder, get_encoder
from backend.operations import doctor, jobs, nightly
from tests.conftest import make_database
from tests.tmdb_films import make_film
from tests.tmdb_stand_in import KEY, TmdbStandIn

ROOT = Path(__file__).parents[1]
Main = Callable[[list[str]], int]

FILMS = [
    {"id": 862, "title": "Toy Story", "overview": "Toys live.", "genres": ["Animation"], "imdb_id": "tt0114709"},
    {"id": 863, "title": "Toy Story 2", "overview": "Toys live on.", "genres": ["Animation"]},
    {"id": 238, "title": "The Godfather", "overview": "A family.", "genres": ["Crime"]},
]


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    """An empty database, which the environment names; `DATA_DIR` is a folder of its own."""
    url = make_database(postgres)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    # Loggers would keep the stream that pytest closes after the test.
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    forget_settings()
    engine = create_engine(url)
    yield engine
    engine.dispose()
    database.get_engine().dispose()
    forget_settings()


def forget_settings() -> None:
    """Let the next command of this process read the environment anew, as a process of its own would."""
    config.get_settings.cache_clear()
    database.get_engine.cache_clear()


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A file of films, one of whose lines is broken."""
    file = tmp_path / "films.jsonl"
    file.write_text("\n".join([*map(json.dumps, FILMS), "{broken"]))
    return file


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    """Ratings: two of films that are there, one of the same film once more, one of a film that is not."""
    folder = tmp_path / "ml"
    folder.mkdir()
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n2,0120363,863\n3,1,862\n4,2,999\n")
    rows = ["1,1,5.0,1000000000", "1,2,4.0,1000000001", "1,3,3.0,1000000002", "2,4,4.5,1000000003"]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]) + "\n")
    return folder


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command as a process of its own, started from another folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT if arguments[0] == "-m" else "/",
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM " + table)) or 0)  # noqa: S608


def places(engine: Engine) -> list[tuple[str, str]]:
    """Where every row lies: another place after any write."""
    statement = """
        SELECT 'movies', ctid::text FROM movies UNION ALL SELECT 'interactions', ctid::text FROM interactions
        UNION ALL SELECT 'pending', ctid::text FROM pending_interactions
        UNION ALL SELECT 'measurements', ctid::text FROM index_measurements ORDER BY 1, 2
    """
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]  # type: ignore[misc]


# From nothing to an answer, and once more


def test_films_embeddings_and_ratings_come_in_and_a_second_time_nothing_is_done(
    fresh: Engine, films: Path, movielens: Path, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[tuple[Main, list[str], str, str]] = [
        (
            movie_pipeline.main,
            ["--from-file", str(films)],
            "films.jsonl: 3 new, 0 changed, 0 unchanged, 1 rejected\n  line 4: not a JSON object",
            "films.jsonl: 0 new, 0 changed, 3 unchanged, 1 rejected",
        ),
        (
            generate_embeddings.main,
            [],
            "coverage: 3 of 3 films (100.0 %)",
            "Nothing to embed.\ncoverage: 3 of 3 films (100.0 %)",
        ),
        (
            movie_pipeline.main,
            ["--ratings", str(movielens)],
            "ml: 4 read: 2 stored, 1 merged, 1 pending, 0 rejected; 3 new or changed",
            "ml: 4 read: 2 stored, 1 merged, 1 pending, 0 rejected; nothing to do",
        ),
    ]
    for main, arguments, first, _ in steps:
        assert main(arguments) == 0
        assert first in capsys.readouterr().out
    before = places(fresh)
    for main, arguments, _, second in steps:
        assert main(arguments) == 0
        assert second in capsys.readouterr().out
    assert places(fresh) == before
    assert (count(fresh, "movies"), count(fresh, "interactions"), count(fresh, "pending_interactions")) == (
        3,
        2,
        1,
    )


def test_an_export_of_one_person_comes_in_under_their_name(
    fresh: Engine, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie_pipeline.main(["--from-file", str(films)])
    file = tmp_path / "rated.csv"
    file.write_text("Const,Your Rating,Date Rated,Title,Year\ntt0000001,9,2024-02-01,Never Made,2003\n")
    capsys.readouterr()
    assert movie_pipeline.main(["--ratings", str(file)]) == 1
    assert "say who that is with --user-id" in error_line(capsys)
    assert movie_pipeline.main(["--ratings", str(file), "--user-id", "ada"]) == 0
    said = capsys.readouterr().out
    assert "rated.csv: 1 read: 0 stored, 0 merged, 1 pending, 0 rejected; 1 new or changed" in said
    assert "not in the catalogue yet: Never Made (2003)" in said


def test_scripts_run_as_processes_from_any_folder(fresh: Engine, films: Path) -> None:
    loaded = run(str(ROOT / "movie_pipeline.py"), "--from-file", str(films))
    assert (loaded.returncode, loaded.stdout.splitlines()[0]) == (
        0,
        "films.jsonl: 3 new, 0 changed, 0 unchanged, 1 rejected",
    )
    with fresh.begin() as connection:
        connection.execute(text("DELETE FROM movies"))
    embedded = run(str(ROOT / "backend" / "generate_embeddings.py"))
    assert (embedded.returncode, embedded.stderr) == (0, "")
    assert embedded.stdout.startswith("Nothing to embed.")


@pytest.mark.parametrize(
    "command",
    [
        [str(ROOT / "movie_pipeline.py")],
        [str(ROOT / "backend" / "generate_embeddings.py")],
        [str(ROOT / "backend" / "migrate_add_pgvector.py")],
        ["-m", "backend"],
    ],
    ids=lambda command: Path(command[-1]).stem,
)
def test_every_command_explains_itself_without_a_database(command: list[str], tmp_path: Path) -> None:
    done = run(*command, "--help", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing", DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert "--debug" in done.stdout
    assert list(tmp_path.iterdir()) == []


# The index


def test_the_index_is_built_on_demand_and_shown(
    fresh: Engine,
    films: Path,
    encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    movie_pipeline.main(["--from-file", str(films)])
    generate_embeddings.main([])
    capsys.readouterr()
    assert backend_main.main(["index", "status"]) == 0
    assert "kind: exact" in capsys.readouterr().out
    monkeypatch.setenv("VECTOR_INDEX", "hnsw")
    forget_settings()
    assert backend_main.main(["index", "build"]) == 0
    assert "hnsw over 3 films" in capsys.readouterr().out
    assert backend_main.main(["index", "build"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    for action in ("rebuild", "tune"):
        assert backend_main.main(["index", action]) == 0
        assert "hnsw over 3 films" in capsys.readouterr().out
    assert backend_main.main(["index", "status"]) == 0
    shown = capsys.readouterr().out
    assert "kind: hnsw" in shown
    assert "ef_search: " in shown
    assert "lists: -" in shown
    assert "recall: 1.000 of 3 lists: similar_by_embedding, uniformly, no filters" in shown
    history = [line.split(" ", 2)[2] for line in shown.splitlines() if line.startswith("20")]
    assert [line.split(":")[0] for line in history] == ["tune", "build", "build"]
    assert history[0].endswith("3 films, recall@10 1.000")


# The doctor


def test_the_doctor_says_what_to_run_until_all_is_well(fresh: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert backend_main.main(["doctor"]) == 1
    said = capsys.readouterr()
    assert (
        "FAIL pgvector: available, not installed in this database\n     run: CREATE EXTENSION vector;" in said.out
    )
    assert "FAIL schema: revision none" in said.out
    assert "run: python backend/migrate_add_pgvector.py" in said.out
    assert said.err.count("\n") == 1
    with fresh.begin() as connection:
        connection.execute(text("CREATE EXTENSION vector"))
    assert backend_main.main(["doctor"]) == 1
    assert "ok   pgvector: version 0." in capsys.readouterr().out
    migrate(fresh)
    assert backend_main.main(["doctor"]) == 0
    said = capsys.readouterr()
    assert "FAIL" not in said.out
    assert "ok   movies.embedding: 384 dimensions" in said.out
    assert said.err == ""


def test_the_doctor_knows_a_column_of_another_dimension_and_how_to_mend_it(
    fresh: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh)
    with fresh.begin() as connection:
        connection.execute(text("ALTER TABLE movies ALTER COLUMN embedding TYPE vector(768)"))
    assert backend_main.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAIL movies.embedding: 768 dimensions (384 are needed)" in said
    remedy = said.split("run: ")[1].splitlines()[0]
    with fresh.begin() as connection:
        connection.execute(text(remedy))
    assert backend_main.main(["doctor"]) == 0


def test_the_doctor_knows_that_vectors_are_gone_with_the_extension(
    fresh: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh)
    with fresh.begin() as connection:
        connection.execute(text("DROP EXTENSION vector CASCADE"))
        connection.execute(text("CREATE EXTENSION vector"))
    assert backend_main.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAIL movies.embedding: the column is gone" in said
    assert "run: python -m backend restore FILE" in said


def test_the_doctor_counts_films_that_wait_and_calls_it_no_failure(
    fresh: Engine, films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie_pipeline.main(["--from-file", str(films)])
    capsys.readouterr()
    assert backend_main.main(["doctor"]) == 0
    assert "0 of 3 films have a current vector" in capsys.readouterr().out


def test_the_doctor_refuses_an_older_server(
    fresh: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh)
    monkeypatch.setattr(doctor, "server_version", lambda connection: 14)
    assert backend_main.main(["doctor"]) == 1
    assert "FAIL PostgreSQL: version 14 (15 or newer is needed)\n     run: unset" in capsys.readouterr().out


# Languages

FOREIGN_FILMS = [
    {
        "id": 129,
        "title": "Spirited Away",
        "original_title": "千と千尋の神隠し",
        "original_language": "ja",
        "overview": "In English.",
        "translations": {
            "translations": [
                {
                    "iso_639_1": "de",
                    "data": {"title": "Chihiros Reise ins Zauberland", "overview": "Auf Deutsch."},
                },
                {"iso_639_1": "ja", "data": {"title": "", "overview": "日本語"}},
            ]
        },
    },
    {
        "id": 194,
        "title": "Amélie",
        "original_title": "Le Fabuleux Destin d'Amélie Poulain",
        "original_language": "fr",
        "overview": "In English.",
        "translations": {"translations": [{"iso_639_1": "fr", "data": {"overview": "En français."}}]},
    },
]


def test_films_come_in_the_language_that_was_asked_for_else_in_their_own_and_both_are_kept(
    fresh: Engine, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    with TmdbStandIn([make_film(film) for film in FOREIGN_FILMS]) as tmdb:
        monkeypatch.setenv("TMDB_API_KEY", KEY)
        monkeypatch.setenv("TMDB_BASE_URL", tmdb.url)
        forget_settings()
        assert movie_pipeline.main(["--pages", "1", "--language", "de"]) == 0
        assert len(tmdb.details()) == 2, "a request a film"
    names = "title, original_title, overview, original_overview"
    with fresh.connect() as connection:
        found = connection.execute(text(f"SELECT {names} FROM movies ORDER BY id")).all()  # noqa: S608
    assert [tuple(row) for row in found] == [
        ("Chihiros Reise ins Zauberland", "千と千尋の神隠し", "Auf Deutsch.", "日本語"),
        ("Le Fabuleux Destin d'Amélie Poulain", "Le Fabuleux Destin d'Amélie Poulain", *["En français."] * 2),
    ]


# What could not be used


def test_what_could_not_be_used_is_listed_with_its_reason_until_the_file_is_mended(
    fresh: Engine, films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh)
    assert backend_main.main(["ingest", "rejects"]) == 0
    assert capsys.readouterr().out == "Nothing has been rejected.\n"
    with films.open("a") as file:
        file.write("\n" + json.dumps({"id": 7, "title": "", "overview": "\x1b[31mred\n" + "o" * 1000}))
    movie_pipeline.main(["--from-file", str(films)])
    capsys.readouterr()
    assert backend_main.main(["ingest", "rejects"]) == 0
    broken, said_of_it, untitled, record = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d films.jsonl line 4: not a JSON object", broken)
    assert said_of_it == "  {broken"
    assert untitled.endswith("films.jsonl line 5: title is missing")
    assert record.startswith('  {"id": 7, "title": "", "overview": "')
    assert record.endswith("ooo…")
    assert len(record) < 200
    assert backend_main.main(["ingest", "rejects", "--limit", "1"]) == 0
    assert "line 5" not in capsys.readouterr().out
    films.write_text("\n".join(map(json.dumps, FILMS)))
    movie_pipeline.main(["--from-file", str(films)])
    capsys.readouterr()
    assert backend_main.main(["ingest", "rejects"]) == 0
    assert capsys.readouterr().out == "Nothing has been rejected.\n"


def test_of_what_could_not_be_used_the_newest_comes_first_and_no_terminal_obeys_it(
    fresh: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh)
    for name in ("film 1", "film 2"):
        with Session(fresh) as session, session.begin():
            queue_store.reject(
                session, "tmdb", name, "TMDB\x07 has no\n film.", "\x1b[2J\r\n\u202e{}" * (name == "film 1")
            )
    assert backend_main.main(["ingest", "rejects"]) == 0
    second, first, record = capsys.readouterr().out.splitlines()
    assert second.endswith("tmdb film 2: TMDB has no film.")
    assert first.endswith("tmdb film 1: TMDB has no film.")
    assert record == "  [2J {}"


# Jobs by hand


def test_a_job_by_hand_says_what_it_did_and_stands_among_the_runs(
    fresh: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backend_main.main(["train"]) == 0
    assert "train: There is no film to learn about yet." in capsys.readouterr().out
    assert backend_main.main(["cache"]) == 0
    assert "cache: films 0, people 0" in capsys.readouterr().out
    assert generate_embeddings.main([]) == 0
    with fresh.connect() as connection:
        rows = connection.execute(text("SELECT job, outcome FROM job_runs ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("train", "skipped"),
        ("cache", "succeeded"),
        ("embeddings", "succeeded"),
    ]


def test_training_from_a_corpus_says_what_it_learned_from_and_makes_nobody_a_user(
    fresh: Engine, films: Path, movielens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four ratings: one person rates one film twice, and one film is not here."""
    movie_pipeline.main(["--from-file", str(films)])
    capsys.readouterr()
    with (movielens / "ratings.csv").open("a") as file:
        file.write("3,1,4.5,1000000004\n")
    assert backend_main.main(["train", "--corpus", str(movielens)]) == 0
    said = capsys.readouterr().out
    assert "corpus: 3 ratings of films in the catalogue" in said
    assert "train: films 3, people 0, opinions 0, crowds 1" in said
    assert list((tmp_path / "data" / "corpus").glob("*/LICENSE"))
    assert count(fresh, "users") == count(fresh, "interactions") == count(fresh, "pending_interactions") == 0
    assert backend_main.main(["train"]) == 0
    assert "crowds 1" in capsys.readouterr().out


def test_training_can_be_undone_by_hand(
    fresh: Engine, films: Path, movielens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh)
    assert backend_main.main(["train", "--back"]) == 1
    assert "no earlier version to go back to" in error_line(capsys)
    movie_pipeline.main(["--from-file", str(films)])
    movie_pipeline.main(["--ratings", str(movielens)])
    for _ in range(2):
        assert backend_main.main(["train"]) == 0
        assert "opinions 2" in capsys.readouterr().out
    with fresh.connect() as connection:
        before = connection.scalar(text("SELECT previous FROM active_model"))
    capsys.readouterr()
    assert backend_main.main(["train", "--back"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"train: {before} answers again"


def test_a_corpus_that_can_not_be_used_is_said_in_one_line_and_nothing_is_trained(
    fresh: Engine, films: Path, movielens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backend_main.main(["train", "--corpus", str(tmp_path / "nowhere")]) == 1
    assert "There is no file" in error_line(capsys)
    assert backend_main.main(["train", "--corpus", str(movielens)]) == 1
    assert "rates no film of the catalogue" in error_line(capsys)
    movie_pipeline.main(["--from-file", str(films)])
    with (movielens / "ratings.csv").open("a") as file:
        file.write("3,1,4.5,1000000004\n")
    assert backend_main.main(["train", "--corpus", str(movielens)]) == 0
    (pack,) = (tmp_path / "data" / "corpus").glob("*/taste.npz")
    pack.write_bytes(b"damaged")
    capsys.readouterr()
    assert backend_main.main(["train"]) == 1
    assert f"{pack} is damaged" in error_line(capsys)


def test_a_job_that_is_running_elsewhere_is_said_in_one_line(
    fresh: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(fresh)
    with jobs.locked(fresh, "train") as connection:
        assert connection is not None
        assert backend_main.main(["train"]) == 1
    assert "`train` is running in another process" in error_line(capsys)


# What goes wrong

COMMANDS: list[tuple[Main, list[str]]] = [
    (movie_pipeline.main, ["--from-file", "films.jsonl"]),
    (generate_embeddings.main, []),
    (backend_main.main, ["doctor"]),
    (backend_main.main, ["index", "status"]),
    (backend_main.main, ["index", "build"]),
    (backend_main.main, ["index", "tune"]),
    (backend_main.main, ["index", "rebuild"]),
    (backend_main.main, ["train"]),
    (backend_main.main, ["cache"]),
    (backend_main.main, ["ingest", "rejects"]),
]
NAMES = [
    "movie_pipeline",
    "generate_embeddings",
    "doctor",
    "index status",
    "index build",
    "index tune",
    "index rebuild",
    "train",
    "cache",
    "ingest rejects",
]


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(("main", "arguments"), COMMANDS, ids=NAMES)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody:hidden@127.0.0.1:1/nothing", "refused"),
        ("mysql://nobody:hidden@127.0.0.1/nothing", "DATABASE_URL"),
        ("nonsense", "DATABASE_URL"),
    ],
    ids=["unreachable", "another database", "nonsense"],
)
def test_a_database_that_can_not_be_used_is_said_in_one_line(
    fresh: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    main: Main,
    arguments: list[str],
    url: str,
    said: str,
) -> None:
    reachable = os.environ["DATABASE_URL"]
    monkeypatch.setenv("DATABASE_URL", url)
    forget_settings()
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert "hidden" not in told.out + told.err
    assert told.err.count("\n") == 1
    monkeypatch.setenv("DATABASE_URL", reachable)
    forget_settings()


@pytest.mark.parametrize(
    "arguments",
    [*(["index", action] for action in ("status", "build", "tune", "rebuild")), ["ingest", "rejects"]],
    ids=" ".join,
)
def test_a_database_without_the_schema_is_said_in_one_line(
    fresh: Engine, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert backend_main.main(arguments) == 1
    assert "does not exist" in error_line(capsys)


@pytest.mark.parametrize("option", ["--from-file", "--ratings"])
def test_a_missing_file_is_said_in_one_line(
    fresh: Engine, capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    assert movie_pipeline.main([option, str(tmp_path / "missing")]) == 1
    assert "There is no file" in capsys.readouterr().err.splitlines()[-1]


def test_a_model_that_is_not_there_is_said_in_one_line(
    fresh: Engine,
    films: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    movie_pipeline.main(["--from-file", str(films)])
    capsys.readouterr()
    monkeypatch.setenv("EMBEDDING_MODEL", str(tmp_path / "nowhere"))
    # As in a process of its own, which has loaded none yet.
    monkeypatch.setattr(nightly, "get_encoder", get_encoder.__wrapped__)
    forget_settings()
    assert generate_embeddings.main([]) == 1
    assert f"EMBEDDING_MODEL={tmp_path / 'nowhere'} can't be loaded" in error_line(capsys)


def test_on_demand_a_failure_shows_its_traceback(fresh: Engine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        movie_pipeline.main(["--from-file", str(tmp_path / "missing"), "--debug"])


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (movie_pipeline.main, ["--from-file", "a", "--ratings", "b"]),
        (movie_pipeline.main, ["--ratings", "a", "--user-id", "a/b"]),
        (movie_pipeline.main, ["--from-file", "a", "--user-id", "ada"]),
        (movie_pipeline.main, ["--nonsense"]),
        (movie_pipeline.main, ["--language", "german"]),
        (generate_embeddings.main, ["nonsense"]),
        (backend_main.main, []),
        (backend_main.main, ["nonsense"]),
        (backend_main.main, ["index"]),
        (backend_main.main, ["ingest"]),
        (backend_main.main, ["ingest", "rejects", "--limit", "0"]),
        (backend_main.main, ["ingest", "rejects", "--limit", "many"]),
        (backend_main.main, ["serve", "--port", "many"]),
    ],
)
def test_wrong_usage_is_exit_code_2(main: Main, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_an_interrupt_says_that_what_was_done_is_kept(
    fresh: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(engine: Engine) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(movie_pipeline, "migrate", interrupt)
    assert movie_pipeline.main(["--from-file", "films.jsonl"]) == 130
    assert "what was done is kept" in capsys.readouterr().err
