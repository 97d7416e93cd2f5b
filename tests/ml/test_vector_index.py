"""The vector index: the kind that a catalogue needs, built beside the old one, tuned, and looked after."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.migrations import migrate
from backend.ml import index_recall
from backend.ml.answer import Window
from backend.ml.index_build import INDEX, NEW_INDEX, OLD_INDEX, find_index
from backend.ml.index_plan import IndexPlan, have_outgrown, lists_for
from backend.ml.list_statements import Scope
from backend.ml.pgvector_statements import similar_statement
from backend.ml.vector_index import check_index, ensure_index, history, status, tune_index
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
def films(synthetic: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The same, without an index; none is left behind. Fewer lists are compared, for the sake of time."""
    for answers in index_recall.QUERIES:
        monkeypatch.setitem(index_recall.QUERIES, answers, 40 if answers == "similar_by_embedding" else 2)
    yield synthetic
    with synthetic.begin() as connection:
        connection.execute(text(f"DROP INDEX IF EXISTS {INDEX}, {NEW_INDEX}, {OLD_INDEX}"))
        connection.execute(text("DELETE FROM index_measurements"))


def wanting(kind: str, *, recall: float = 0.98) -> Settings:
    """Settings that ask for a kind of index."""
    settings = Settings(_env_file=None, vector_index=kind, recall_target=recall)  # type: ignore[arg-type, call-arg]
    return settings.model_copy(update={"embedding_model": MODEL})


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
    """How PostgreSQL finds similar films, where it may sort only at a price."""
    statement = similar_statement(
        1, Scope(model=MODEL, include_adult=False), Window(offset=0, limit=10), by="embedding"
    )
    compiled = statement.compile(engine, compile_kwargs={"render_postcompile": True})
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_sort = off"))
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
        (1, "ivfflat", IndexPlan("ivfflat", lists=2)),
        (9_583, "ivfflat", IndexPlan("ivfflat", lists=196)),
        (101_749, "ivfflat", IndexPlan("ivfflat", lists=638)),
    ],
)
def test_the_number_of_films_and_the_operator_decide(films: int, wanted: str, plan: IndexPlan) -> None:
    assert IndexPlan.for_catalogue(films, wanted=wanted) == plan


@pytest.mark.parametrize("enough", [1, 40, 41, 137, 999, 1_000])
def test_the_least_effort_that_is_enough_is_found_to_a_tenth(enough: int) -> None:
    asked: list[int] = []

    def is_enough(effort: int) -> bool:
        asked.append(effort)
        return effort >= enough

    found = IndexPlan("hnsw").least_effort(is_enough)
    assert enough <= found <= max(40, enough * 1.1 + 1)
    assert len(asked) < 15


@pytest.mark.parametrize(
    "plan", [IndexPlan("hnsw"), IndexPlan("ivfflat", lists=1), IndexPlan("ivfflat", lists=77)]
)
def test_where_nothing_is_enough_it_is_the_most_there_is(plan: IndexPlan) -> None:
    assert plan.least_effort(lambda effort: False) == (1_000 if plan.kind == "hnsw" else plan.lists)


@pytest.mark.parametrize(("times", "outgrown"), [(0.45, True), (0.55, False), (1.45, False), (1.55, True)])
def test_lists_are_made_anew_only_for_a_catalogue_of_quite_another_size(times: float, outgrown: bool) -> None:
    assert have_outgrown(lists_for(101_749), int(101_749 * times)) is outgrown


def test_lists_are_never_too_few_or_too_many_for_the_films_they_were_made_for() -> None:
    assert not [films for films in range(1, 2_000) if have_outgrown(lists_for(films), films)]


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
    assert (noted.probes or 0) > 60
    assert noted.lists == 77


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
    assert index.lists == 35
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


def test_an_index_over_full_precision_is_replaced(films: Engine) -> None:
    with films.begin() as connection:
        connection.execute(text(f"CREATE INDEX {INDEX} ON movies USING hnsw (embedding vector_cosine_ops)"))
    ensure_index(films, wanting("hnsw"))
    with films.connect() as connection:
        index = find_index(connection)
    assert index is not None
    assert index.operators == "halfvec_cosine_ops"


def test_who_starts_does_not_wait_for_another_who_measures(films: Engine) -> None:
    ensure_index(films, wanting("ivfflat"))
    with films.connect() as busy:
        busy.execute(text("SELECT pg_advisory_lock(hashtext('marquee index'))"))
        assert "nothing to do" in ensure_index(films, wanting("ivfflat"))
        busy.execute(text("SELECT pg_advisory_unlock(hashtext('marquee index'))"))


# Looking after it


def events(engine: Engine) -> list[str]:
    """What was measured after, oldest first."""
    return [measured.event for measured in measurements(engine)]


def test_the_recall_of_an_index_is_measured_every_night(films: Engine) -> None:
    ensure_index(films, wanting("ivfflat"))
    identity = index_identity(films)
    said = check_index(films, wanting("ivfflat"))
    built, checked = measurements(films)
    assert f"recall@10 {checked.recall_at_10:.3f}" in said
    assert (built.event, checked.event) == ("build", "check")
    assert (checked.probes, checked.recall_at_10) == (built.probes, built.recall_at_10)
    assert index_identity(films) == identity
    with Session(films) as session:
        assert [row.id for row in history(session, limit=2)] == [checked.id, built.id]


def test_where_no_index_is_needed_the_answers_are_measured_all_the_same(films: Engine) -> None:
    check_index(films, wanting("exact"))
    (noted,) = measurements(films)
    assert (noted.kind, noted.event, noted.recall_at_10) == ("exact", "check", 1.0)


def test_an_index_whose_recall_has_drifted_is_tuned(films: Engine) -> None:
    ensure_index(films, wanting("ivfflat"))
    identity = index_identity(films)
    with films.begin() as connection:
        database = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {database} SET ivfflat.probes = 2"))
    films.dispose()
    check_index(films, wanting("ivfflat"))
    built, checked, tuned = measurements(films)
    assert (built.event, checked.event, tuned.event) == ("build", "check", "tune")
    assert checked.probes == 2
    assert checked.recall_at_10 < 0.5
    assert tuned.recall_at_10 >= 0.98
    assert index_identity(films) == identity


@pytest.mark.parametrize("look_after", [ensure_index, check_index])
def test_another_target_asks_for_another_effort(
    films: Engine, look_after: Callable[[Engine, Settings], str]
) -> None:
    ensure_index(films, wanting("ivfflat"))
    look_after(films, wanting("ivfflat", recall=0.5))
    built, tuned = measurements(films)
    assert (built.event, tuned.event) == ("build", "tune")
    assert 0.5 <= tuned.recall_at_10 < 0.98
    assert (tuned.probes or 0) < (built.probes or 0)


def test_on_demand_an_index_that_is_tuned_is_tuned_again(films: Engine) -> None:
    ensure_index(films, wanting("ivfflat"))
    tune_index(films, wanting("ivfflat"))
    assert events(films) == ["build", "tune"]
    tune_index(films, wanting("hnsw"))
    assert events(films) == ["build", "tune", "build"]


POOR = f"CREATE INDEX {INDEX} ON movies USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops) "
POOR += "WITH (m = 2, ef_construction = 4)"
NOTED = (
    "INSERT INTO index_measurements (kind, movies, recall_at_10, target) VALUES ('hnsw', :films, :recall, 0.98)"
)


@pytest.mark.parametrize(("when_new", "is_rebuilt"), [(0.99, True), (0.5, False)])
def test_where_tuning_does_not_help_an_index_that_was_better_is_built_again(
    films: Engine, when_new: float, is_rebuilt: bool
) -> None:
    with films.begin() as connection:
        connection.execute(text(POOR))
        connection.execute(text(NOTED), {"films": FILMS, "recall": when_new})
    check_index(films, wanting("hnsw"))
    assert events(films) == ["build", "check", "tune", *["build"] * is_rebuilt]
    assert (measurements(films)[-1].recall_at_10 >= 0.98) is is_rebuilt


def test_an_index_that_is_mostly_of_vectors_of_the_past_is_built_again(films: Engine) -> None:
    ensure_index(films, wanting("ivfflat"))
    with films.begin() as connection:
        for _ in range(3):
            connection.execute(text("UPDATE movies SET embedding = embedding"))
    check_index(films, wanting("ivfflat"))
    assert events(films) == ["build", "build"]


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
        "lists": 77,
        "probes": noted.probes,
        "ef_search": None,
        "recall_at_10": noted.recall_at_10,
        "measured_at": noted.measured_at,
        "size_bytes": noted.size_bytes,
        "recall": noted.recalls,
    }
    assert (noted.size_bytes or 0) > FILMS * 2 * 384
