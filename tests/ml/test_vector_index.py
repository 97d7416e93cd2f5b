"""The vector index: the kind that a catalogue needs, built beside the old one, its recall measured."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.migrations import migrate
from backend.ml.answer import Window
from backend.ml.pgvector_statements import Scope, similar_statement
from backend.ml.vector_index import INDEX, NEW_INDEX, IndexPlan, ensure_index, find_index, status
from backend.models import IndexMeasurement
from tests.conftest import make_database, start_server

FILMS = 1_500
MODEL = "synthetic"

SYNTHETIC_FILMS = text("""
    INSERT INTO movies (id, title, embedding, embedding_model)
    SELECT id, 'Film ' || id, l2_normalize(v::vector), :model
    FROM (
        SELECT id, array_agg(random() - 0.5) AS v
        FROM generate_series(1, :films) id, generate_series(1, 384) GROUP BY id
    ) made
""")


@pytest.fixture(scope="module", params=[16, 18])
def synthetic(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Engine]:
    """A catalogue of synthetic films with random unit vectors."""
    engine = create_engine(make_database(start_server(scratch, request.param)))
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("SELECT setseed(0.5)"))
        connection.execute(SYNTHETIC_FILMS, {"films": FILMS, "model": MODEL})
    yield engine
    engine.dispose()


@pytest.fixture
def films(synthetic: Engine) -> Iterator[Engine]:
    """The same, without an index; none is left behind."""
    yield synthetic
    with synthetic.begin() as connection:
        connection.execute(text(f"DROP INDEX IF EXISTS {INDEX}, {NEW_INDEX}"))
        connection.execute(text("DELETE FROM index_measurements"))


def wanting(kind: str) -> Settings:
    """Settings that ask for a kind of index."""
    return Settings(_env_file=None, vector_index=kind)  # type: ignore[arg-type, call-arg]


def measurements(engine: Engine) -> list[IndexMeasurement]:
    """What has been noted down, oldest first."""
    with Session(engine) as session:
        return list(session.scalars(select(IndexMeasurement).order_by(IndexMeasurement.id)))


def kind_of(engine: Engine, name: str = INDEX) -> str | None:
    """The kind of the index of that name, where it is there and valid."""
    with engine.connect() as connection:
        index = find_index(connection, name)
        return index.kind if index and index.valid else None


def index_identity(engine: Engine) -> int:
    """Another one after each build."""
    with engine.connect() as connection:
        return int(connection.scalar(text(f"SELECT '{INDEX}'::regclass::oid")))  # type: ignore[arg-type]


def plan_of_similar(engine: Engine) -> str:
    """How PostgreSQL finds similar films, where it has the choice of a scan through all only at a price."""
    statement = similar_statement(
        1, Scope(model=MODEL, include_adult=False), Window(offset=0, limit=10), by="embedding"
    )
    compiled = statement.compile(engine, compile_kwargs={"render_postcompile": True})
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        rows = connection.exec_driver_sql(f"EXPLAIN {compiled}", compiled.params)  # type: ignore[arg-type]
        return "\n".join(rows.scalars())


@pytest.fixture
def another_program(films: Engine) -> Iterator[Engine]:
    """Connections that know nothing of this program's settings."""
    engine = create_engine(films.url)
    yield engine
    engine.dispose()


# The rule


@pytest.mark.parametrize(
    ("films", "wanted", "plan"),
    [
        (0, "auto", IndexPlan("exact")),
        (0, "hnsw", IndexPlan("exact")),
        (0, "ivfflat", IndexPlan("exact")),
        (1, "auto", IndexPlan("exact")),
        (10_000, "auto", IndexPlan("exact")),
        (10_001, "auto", IndexPlan("hnsw")),
        (1_000_000, "exact", IndexPlan("exact")),
        (1, "hnsw", IndexPlan("hnsw")),
        (1, "ivfflat", IndexPlan("ivfflat", lists=1)),
        (9_583, "ivfflat", IndexPlan("ivfflat", lists=98)),
        (101_749, "ivfflat", IndexPlan("ivfflat", lists=319)),
    ],
)
def test_the_number_of_films_and_the_operator_decide(films: int, wanted: str, plan: IndexPlan) -> None:
    assert IndexPlan.for_catalogue(films, wanted=wanted) == plan


@pytest.mark.parametrize(
    ("plan", "rule", "most"),
    [
        (IndexPlan("ivfflat", lists=1), 1, 1),
        (IndexPlan("ivfflat", lists=2), 1, 2),
        (IndexPlan("ivfflat", lists=100), 10, 100),
        (IndexPlan("hnsw"), 40, 1000),
    ],
)
def test_effort_grows_from_the_rule_to_the_most_there_is(plan: IndexPlan, rule: int, most: int) -> None:
    efforts = list(plan.efforts)
    assert (efforts[0], efforts[-1]) == (rule, most)
    assert all(less < more <= 2 * less for less, more in itertools.pairwise(efforts))


# Building


@pytest.mark.parametrize("kind", ["ivfflat", "hnsw"])
def test_an_index_is_built_measured_and_used(films: Engine, another_program: Engine, kind: str) -> None:
    said = ensure_index(films, wanting(kind))
    assert kind_of(films) == kind
    assert kind_of(films, NEW_INDEX) is None
    (noted,) = measurements(films)
    assert (noted.kind, noted.movies) == (kind, FILMS)
    assert noted.recall_at_10 >= 0.98
    assert f"{kind} over 1,500 films, recall@10 {noted.recall_at_10:.3f}" in said
    assert f"Index Scan using {INDEX}" in plan_of_similar(films)
    setting = "ivfflat.probes" if kind == "ivfflat" else "hnsw.ef_search"
    with another_program.connect() as connection:
        in_force = connection.scalar(
            text(
                "SELECT setconfig FROM pg_db_role_setting JOIN pg_database d "
                "ON d.oid = setdatabase WHERE datname = current_database()"
            )
        )
        connection.execute(text("SELECT '[1]'::vector <=> '[1]'::vector"))
        assert connection.scalar(select(func.current_setting(setting))) == str(noted.probes or noted.ef_search)
    assert any(line.startswith(f"{kind}.iterative_scan=") for line in in_force)


def test_recall_is_measured_with_the_index_even_where_the_planner_would_pass_it_by(films: Engine) -> None:
    """Among random vectors the neighbours are scattered over all lists."""
    ensure_index(films, wanting("ivfflat"))
    (noted,) = measurements(films)
    assert noted.probes == noted.lists == 39


@pytest.mark.parametrize("kind", ["ivfflat", "hnsw", "exact"])
def test_the_second_time_there_is_nothing_to_do(films: Engine, kind: str) -> None:
    ensure_index(films, wanting(kind))
    before = len(measurements(films)), kind_of(films)
    identity = index_identity(films) if kind != "exact" else None
    assert "nothing to do" in ensure_index(films, wanting(kind))
    assert (len(measurements(films)), kind_of(films)) == before
    assert identity is None or index_identity(films) == identity


def test_kinds_follow_each_other_and_exact_has_none(films: Engine) -> None:
    for kind in ("hnsw", "ivfflat", "hnsw"):
        ensure_index(films, wanting(kind))
        assert kind_of(films) == kind
    ensure_index(films, wanting("exact"))
    with films.connect() as connection:
        assert find_index(connection) is None
    ensure_index(films, wanting("hnsw"))
    assert kind_of(films) == "hnsw"


def test_on_demand_an_index_that_fits_is_built_again(films: Engine) -> None:
    ensure_index(films, wanting("ivfflat"))
    before = index_identity(films)
    assert "nothing to do" not in ensure_index(films, wanting("ivfflat"), rebuild=True)
    assert index_identity(films) != before


@pytest.mark.parametrize("kind", ["exact", "ivfflat"])
def test_what_an_interrupted_build_left_behind_is_cleared_away(films: Engine, kind: str) -> None:
    ensure_index(films, wanting(kind))
    leave_broken_index(films, NEW_INDEX)
    ensure_index(films, wanting(kind))
    with films.connect() as connection:
        assert find_index(connection, NEW_INDEX) is None
    assert kind_of(films) == (None if kind == "exact" else kind)


@pytest.mark.parametrize("kind", ["exact", "ivfflat"])
def test_a_broken_index_is_replaced(films: Engine, kind: str) -> None:
    leave_broken_index(films, INDEX)
    with Session(films) as session:
        assert status(session)["kind"] == "exact"
    ensure_index(films, wanting(kind))
    assert kind_of(films) == (None if kind == "exact" else kind)


def leave_broken_index(engine: Engine, name: str) -> None:
    """What CREATE INDEX CONCURRENTLY leaves where it fails: an index that is not valid."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute(text(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON movies (vote_count)"))
        index = find_index(connection, name)
        assert index is not None
        assert not index.valid


def test_lists_are_made_anew_once_the_catalogue_has_another_size(films: Engine) -> None:
    ensure_index(films, wanting("ivfflat"))
    shrink = text("UPDATE movies SET embedding = NULL WHERE id > :films")
    with films.begin() as connection:
        connection.execute(text("CREATE TABLE aside AS SELECT id, embedding FROM movies"))
        connection.execute(shrink, {"films": 1000})
    assert "nothing to do" in ensure_index(films, wanting("ivfflat"))
    with films.begin() as connection:
        connection.execute(shrink, {"films": 300})
    ensure_index(films, wanting("ivfflat"))
    with films.connect() as connection:
        index = find_index(connection)
    assert index is not None
    assert index.lists == 17
    with films.begin() as connection:
        connection.execute(text("UPDATE movies m SET embedding = a.embedding FROM aside a WHERE a.id = m.id"))
        connection.execute(text("DROP TABLE aside"))


def test_two_at_once_build_one_index(films: Engine) -> None:
    threads = [threading.Thread(target=ensure_index, args=(films, wanting("ivfflat"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kind_of(films) == "ivfflat"
    assert len(measurements(films)) == 1


def test_an_empty_catalogue_needs_no_index(empty_engine: Engine) -> None:
    migrate(empty_engine)
    ensure_index(empty_engine, wanting("hnsw"))
    assert kind_of(empty_engine) is None


# What is told of it


def test_the_state_says_what_is_in_force(films: Engine) -> None:
    with Session(films) as session:
        before = status(session)
    assert (before["kind"], before["recall_at_10"], before["probes"]) == ("exact", 1.0, None)
    ensure_index(films, wanting("ivfflat"))
    with Session(films) as session:
        after = status(session)
    (noted,) = measurements(films)
    assert after == {
        "kind": "ivfflat",
        "lists": 39,
        "probes": noted.probes,
        "ef_search": None,
        "recall_at_10": noted.recall_at_10,
        "measured_at": noted.measured_at,
    }
