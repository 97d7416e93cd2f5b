"""Item factors in Postgres: built beside those in force, switched at once, and free to go back to."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.catalog.records import MovieRecord
from backend.catalog.store import save_embeddings, upsert
from backend.config import PACKAGED_MODEL
from backend.database import CONNECT_ARGS
from backend.embedded_postgres import EmbeddedPostgres
from backend.migrations import migrate
from backend.ml import pgvector_statements, taste_store
from backend.ml.answer import Answer, Request
from backend.ml.cache_store import hold_still
from backend.ml.item_factors import DIMENSIONS, ItemFactors
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.ml.similarity import DIMENSIONS as ALIKE_DIMENSIONS
from backend.ml.similarity import query
from backend.ml.taste_store import FACTORS, START, StoredFactors
from backend.models import EMBEDDING_DIMENSION
from tests.conftest import make_database

SIZE = 40
"""Films 1 to 40."""
HOMELESS = (7, 40)
"""Films of which nothing was learned."""
IDS = np.arange(1, SIZE + 1, dtype=np.int32)


def version(number: int) -> str:
    return f"20260101T0000{number:02}-abcd"


def marked(number: int, films: int = SIZE) -> ItemFactors:
    """Factors that give every film the score number * number, so that a mix of two versions shows."""
    p, q = (np.zeros((films, DIMENSIONS), dtype=np.float32) for _ in range(2))
    s = np.zeros((films, ALIKE_DIMENSIONS), dtype=np.float32)
    start = np.zeros(DIMENSIONS, dtype=np.float32)
    q[:, 0] = s[:, 0] = start[0] = number
    known = np.ones(films, dtype=bool)
    if films == SIZE:
        known[np.array(HOMELESS) - 1] = False
    return ItemFactors(p=p, q=q, s=s, start=start, known=known)


def random(films: int, seed: int = 0) -> ItemFactors:
    """Factors of no meaning, all of them different."""
    rng = np.random.default_rng(seed)
    shapes = {"p": DIMENSIONS, "q": DIMENSIONS, "s": ALIKE_DIMENSIONS}
    parts = {part: rng.standard_normal((films, width), dtype=np.float32) for part, width in shapes.items()}
    start = rng.standard_normal(DIMENSIONS, dtype=np.float32)
    return ItemFactors(start=start, known=np.ones(films, dtype=bool), **parts)


def build(engine: Engine, number: int, factors: ItemFactors | None = None) -> None:
    with engine.begin() as connection:
        taste_store.build(connection, version(number), IDS, factors or marked(number))


def activate(engine: Engine, number: int) -> None:
    with Session(engine) as session, session.begin():
        taste_store.activate(session, version(number))


def publish(engine: Engine, number: int) -> None:
    build(engine, number)
    activate(engine, number)


def tables(engine: Engine) -> set[str]:
    """The tables of versions that there are."""
    with engine.connect() as connection:
        names = text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'item\\_factors\\_%'")
        return set(connection.scalars(names))


def table(number: int) -> str:
    return f"item_factors_20260101t0000{number:02}_abcd"


def in_force(engine: Engine) -> tuple[str | None, set[int], set[str]]:
    """The version, the films in the view, and the version that their rows name."""
    with Session(engine) as session:
        rows = session.execute(select(FACTORS.c.movie_id, FACTORS.c.version)).all()
        films = {row.movie_id for row in rows} - {START}
        return taste_store.find_active(session), films, {row.version for row in rows}


def ask(engine: Engine) -> Answer:
    with Session(engine) as session:
        return PgvectorRecommender(session).recommend("nobody", Request(n=SIZE, explain=True))


@pytest.fixture
def films(emptied_engine: Engine) -> Engine:
    """A small catalogue, and nothing learned of it yet."""
    with Session(emptied_engine) as session, session.begin():
        upsert(session, [MovieRecord(id=i, title=f"Film {i}") for i in IDS.tolist()], source="file")
    return emptied_engine


# Building and switching


def test_before_the_first_training_there_is_nothing(films: Engine) -> None:
    assert in_force(films) == (None, set(), set())
    assert ask(films).source == "popular"


def test_what_is_built_does_not_answer_until_it_is_activated(films: Engine) -> None:
    build(films, 1)
    assert in_force(films) == (None, set(), set())
    activate(films, 1)
    assert in_force(films) == (version(1), set(IDS.tolist()) - set(HOMELESS), {version(1)})
    answer = ask(films)
    assert {row["score"] for row in answer.rows} == {1.0}
    assert (answer.model_version, answer.total_results) == (version(1), SIZE - len(HOMELESS))
    assert set(HOMELESS).isdisjoint(row["id"] for row in answer.rows)


def test_what_comes_out_is_what_went_in(films: Engine) -> None:
    factors = random(SIZE)
    build(films, 1, factors)
    activate(films, 1)
    with Session(films) as session:
        stored = StoredFactors(session, version(1))
        np.testing.assert_array_equal(stored.start(), factors.start)
        assert stored.widths() == {"p": DIMENSIONS, "q": DIMENSIONS, "s": ALIKE_DIMENSIONS}
        for film, place in enumerate(stored.stream()):
            assert place is not None
            for part, vector in place.items():
                np.testing.assert_array_equal(vector, getattr(factors, part)[film])


def test_films_without_a_place_are_told_apart(films: Engine) -> None:
    publish(films, 1)
    with Session(films) as session:
        places = list(StoredFactors(session, version(1)).stream())
    assert [number for number, place in zip(IDS.tolist(), places, strict=True) if place is None] == list(HOMELESS)


def test_the_next_version_takes_over_and_going_back_is_free(films: Engine) -> None:
    publish(films, 1)
    first = ask(films)
    publish(films, 2)
    assert {row["score"] for row in ask(films).rows} == {4.0}
    activate(films, 1)
    assert ask(films) == first
    activate(films, 2)
    assert ask(films).model_version == version(2)


def test_only_the_version_in_force_and_the_one_before_are_kept(films: Engine) -> None:
    for number in (1, 2, 3):
        publish(films, number)
    build(films, 4)
    assert tables(films) == {table(number) for number in (1, 2, 3, 4)}
    for _ in range(2):
        with Session(films) as session, session.begin():
            taste_store.drop_others(session)
        assert tables(films) == {table(2), table(3)}
    activate(films, 2)
    activate(films, 2)
    with Session(films) as session, session.begin():
        taste_store.drop_others(session)
    assert tables(films) == {table(2), table(3)}
    assert ask(films).model_version == version(2)


@pytest.mark.parametrize("name", ["a; DROP TABLE movies", "", "a" * 41, "é", 'a"b'])
def test_a_version_that_is_no_name_of_a_table_is_refused(films: Engine, name: str) -> None:
    with pytest.raises(ValueError, match="can't be a part"), films.begin() as connection:
        taste_store.build(connection, name, IDS, marked(1))


# What goes wrong leaves the old version in force


def test_a_training_that_fails_while_it_builds_leaves_nothing(films: Engine) -> None:
    publish(films, 1)
    before = ask(films)
    with pytest.raises(ZeroDivisionError):
        build_and_fail(films)
    assert (tables(films), ask(films)) == ({table(1)}, before)


def build_and_fail(engine: Engine) -> None:
    with engine.begin() as connection:
        taste_store.build(connection, version(2), IDS, marked(2))
        raise ZeroDivisionError


def test_a_training_that_is_killed_while_it_switches_leaves_the_old_version(films: Engine) -> None:
    publish(films, 1)
    before = ask(films)
    build(films, 2)
    with pytest.raises(OperationalError):
        activate_and_be_killed(films)
    assert ask(films) == before
    with Session(films) as session, session.begin():
        taste_store.drop_others(session)
    assert tables(films) == {table(1)}
    publish(films, 2)
    assert ask(films).model_version == version(2)


def activate_and_be_killed(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        taste_store.activate(session, version(2))
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        session.execute(text("SELECT 1"))


# Readers see one version whole


def test_while_versions_are_switched_readers_see_one_or_the_other(films: Engine) -> None:
    publish(films, 1)
    stop, seen, failed = threading.Event(), set(), []

    def read() -> None:
        while not stop.is_set():
            with Session(films) as session:
                recommender = PgvectorRecommender(session)
                answers = (
                    recommender.recommend("nobody", Request(n=20, explain=True)),
                    recommender.similar(1, Request(n=20)),
                )
            for answer in answers:
                marks = {round(row["score"] ** 0.5) for row in answer.rows}
                shares = {reason["share"] for row in answer.rows for reason in row.get("why", ())}
                if len(answer.rows) != 20 or {version(mark) for mark in marks} != {answer.model_version}:
                    failed.append((answer.model_version, marks))
                if shares and shares != {float(mark**2) for mark in marks}:
                    failed.append((answer.model_version, shares))
                seen.add(answer.model_version)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(2, 14):
            publish(films, number)
            with Session(films) as session, session.begin():
                taste_store.drop_others(session)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert not failed
    assert len(seen) > 2


def test_who_reads_for_long_sees_the_version_it_began_with_and_holds_nobody_up(films: Engine) -> None:
    publish(films, 1)
    build(films, 2)
    with Session(films) as long:
        hold_still(long)
        stored = StoredFactors(long, str(taste_store.find_active(long)))
        assert stored.start()[0] == 1
        with Session(films) as session, session.begin():
            session.execute(text("SET LOCAL lock_timeout = '5s'"))
            taste_store.activate(session, version(2))
        assert ask(films).model_version == version(2)
        assert {place["q"][0] for place in stored.stream() if place} == {1.0}


# Films that arrive between two trainings


def test_films_that_arrive_get_a_place_in_the_version_in_force(films: Engine) -> None:
    publish(films, 1)
    vectors = np.full((2, EMBEDDING_DIMENSION), EMBEDDING_DIMENSION**-0.5, dtype=np.float32)
    with Session(films) as session, session.begin():
        save_embeddings(session, [HOMELESS[0]], vectors[:1], model=PACKAGED_MODEL)
        save_embeddings(session, [HOMELESS[1]], vectors[1:], model="another")
        assert taste_store.without_place(session, model=PACKAGED_MODEL, limit=9) == [HOMELESS[0]]
        taste_store.add(session, version(1), np.array([HOMELESS[0]], dtype=np.int32), marked(3, films=1))
    scores = {row["id"]: row["score"] for row in ask(films).rows}
    assert scores.pop(HOMELESS[0]) == 3.0
    assert set(scores.values()) == {1.0}
    with Session(films) as session, session.begin():
        assert taste_store.without_place(session, model=PACKAGED_MODEL, limit=9) == []
        # Who comes twice stays where it is.
        taste_store.add(session, version(1), np.array([1, HOMELESS[0]], dtype=np.int32), marked(9, films=2))
    assert {row["id"]: row["score"] for row in ask(films).rows} == scores | {HOMELESS[0]: 3.0}


# The index

MANY = 3_000


@pytest.fixture(scope="module")
def many(postgres: EmbeddedPostgres) -> Iterator[Session]:
    """Thousands of films with an index, in a database of their own."""
    engine = create_engine(make_database(postgres), connect_args=CONNECT_ARGS)
    migrate(engine)
    ids = np.arange(1, MANY + 1, dtype=np.int32)
    with Session(engine) as session:
        made = [MovieRecord(id=i, title=f"Film {i}") for i in range(100_001, 100_001 + MANY)]
        for begin in range(0, MANY, 1000):
            upsert(session, made[begin : begin + 1000], source="file")
        order = np.random.default_rng(9).permutation(MANY)
        taste_store.build(session.connection(), version(50), ids + 100_000, random(MANY), order)
        taste_store.activate(session, version(50))
        session.execute(text("ANALYZE movies"))
        yield session
    engine.dispose()


def test_similar_films_are_those_of_the_greatest_products(many: Session) -> None:
    factors, found = random(MANY), 0
    for film in range(0, MANY, 300):
        answer = PgvectorRecommender(many).similar(100_001 + film, Request(n=10))
        products = many_products(factors, film)
        nearest = set(np.argsort(-products)[:10].tolist())
        found += len(nearest & {row["id"] - 100_001 for row in answer.rows})
    assert found == 100


def many_products(factors: ItemFactors, film: int) -> NDArray[np.float32]:
    """How similar every film is to this one, by the definition of `ml/similarity.py`."""
    products: NDArray[np.float32] = factors.s @ query(factors.s[film])
    products[film] = -np.inf
    return products


def test_a_recommendation_is_exact(many: Session) -> None:
    factors = random(MANY)
    answer = PgvectorRecommender(many).recommend("nobody", Request(n=100))
    expected = np.argsort(-(factors.q @ factors.start))[:100] + 100_001
    assert [row["id"] for row in answer.rows] == expected.tolist()


def test_reach_is_the_order_by_which_films_are_stored(many: Session) -> None:
    reach = many.execute(text("SELECT movie_id, reach FROM item_factors WHERE movie_id > 0 ORDER BY reach")).all()
    assert [row.reach for row in reach] == list(range(MANY))
    assert [row.movie_id - 100_001 for row in reach] == np.random.default_rng(9).permutation(MANY).tolist()


def test_a_list_looks_through_the_films_that_reach_farthest(
    many: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector_statements, "EXACT_LIMIT", 300)
    near = np.random.default_rng(9).permutation(MANY)[:300]
    factors, recommender = random(MANY), PgvectorRecommender(many)
    expected = near[np.argsort(-(factors.q @ factors.start)[near])][:50] + 100_001
    assert [row["id"] for row in recommender.recommend("nobody", Request(n=50)).rows] == expected.tolist()
    # Where it would come short, and where it is filtered, it looks through all.
    all_of_them = np.argsort(-(factors.q @ factors.start))[400:500] + 100_001
    assert [
        row["id"] for row in recommender.recommend("nobody", Request(n=100, page=5)).rows
    ] == all_of_them.tolist()


def test_films_are_in_the_order_of_how_near_they_come_to_the_top_for_anyone() -> None:
    factors = random(500)
    people = np.random.default_rng(4).standard_normal((90, DIMENSIONS)).astype(np.float32)
    scores = factors.q @ people.T
    nearest = (scores - np.sort(scores, axis=0)[-100]).max(axis=1)
    assert factors.by_reach(people).tolist() == np.lexsort((np.arange(500), -nearest)).tolist()
    assert (nearest >= 0).sum() > 100, "everyone's first hundred are among the first"
