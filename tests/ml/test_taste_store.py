"""Item factors in Postgres: built beside those in force, switched at once, and free to go back to."""

import threading
from collections.abc import Iterator
from dataclasses import replace

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
from backend.ml import item_factors, taste_store
from backend.ml.answer import Answer, By, Request
from backend.ml.cache_store import hold_still
from backend.ml.index_build import INDEX
from backend.ml.index_plan import IndexPlan
from backend.ml.item_factors import DIMENSIONS, GENRES, ItemFactors, nowhere_to_be_found
from backend.ml.list_statements import Scope
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.ml.pgvector_statements import similar_statement
from backend.ml.similarity import DIMENSIONS as ALIKE_DIMENSIONS
from backend.ml.similarity import SAME_COLLECTION, closeness, furthest, query
from backend.ml.taste_store import FACTORS, START, StoredFactors
from backend.models import EMBEDDING_DIMENSION
from tests.conftest import make_database
from tests.test_embedded_postgres import eventually

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
    return ItemFactors(p=p, q=q, s=s, genres=np.zeros((films, len(GENRES)), "f4"), start=start, known=known)


def random(films: int, seed: int = 0) -> ItemFactors:
    """Factors of no meaning, all of them different."""
    rng = np.random.default_rng(seed)
    shapes = {"p": DIMENSIONS, "q": DIMENSIONS, "s": ALIKE_DIMENSIONS, "genres": len(GENRES)}
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


def versions(engine: Engine) -> set[int]:
    """The versions that there are, each with all of its tables."""
    with engine.connect() as connection:
        found = text(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_20260101t0000[0-9]{2}_abcd$'"
        )
        names = set(connection.scalars(found))
    numbers = {int(name[-7:-5]) for name in names}
    assert names == {f"{view}_20260101t0000{number:02}_abcd" for number in numbers for view in taste_store.VIEWS}
    return numbers


def in_force(engine: Engine) -> tuple[str | None, set[int], set[str]]:
    """The version, the films in the view, and the version that their rows name."""
    with Session(engine) as session:
        rows = session.execute(select(FACTORS.c.movie_id, FACTORS.c.version)).all()
        films = {row.movie_id for row in rows} - {START}
        return taste_store.find_active(session), films, {row.version for row in rows}


def ask(engine: Engine) -> Answer:
    with Session(engine) as session:
        return PgvectorRecommender(session).recommend("nobody", Request(n=SIZE, explain=True))


def ask_for_similar(engine: Engine) -> Answer:
    with Session(engine) as session:
        return PgvectorRecommender(session).similar(1, Request(n=SIZE))


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
        assert stored.widths() == {part: getattr(factors, part).shape[1] for part in taste_store.PARTS}
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
    first, alike = ask(films), ask_for_similar(films)
    publish(films, 2)
    assert (
        {row["score"] for row in ask(films).rows} == {row["score"] for row in ask_for_similar(films).rows} == {4.0}
    )
    activate(films, 1)
    assert (ask(films), ask_for_similar(films)) == (first, alike)
    activate(films, 2)
    assert ask(films).model_version == version(2)


def test_only_the_version_in_force_and_the_one_before_are_kept(films: Engine) -> None:
    for number in (1, 2, 3):
        publish(films, number)
    build(films, 4)
    assert versions(films) == {1, 2, 3, 4}
    for _ in range(2):
        with Session(films) as session, session.begin():
            taste_store.drop_others(session)
        assert versions(films) == {2, 3}
    activate(films, 2)
    activate(films, 2)
    with Session(films) as session, session.begin():
        taste_store.drop_others(session)
    assert versions(films) == {2, 3}
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
    assert (versions(films), ask(films)) == ({1}, before)


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
    assert versions(films) == {1}
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


def test_who_asks_twice_in_one_transaction_stands_in_nobodys_way(films: Engine) -> None:
    """The one has a view that the other waits for, and wants one that the other has."""
    publish(films, 1)
    build(films, 2)
    with Session(films) as reader:
        recommender = PgvectorRecommender(reader)
        assert recommender.similar(1, Request()).model_version == version(1)
        switch = threading.Thread(target=activate, args=(films, 2))
        switch.start()
        eventually(lambda: waits_for_a_view(films), "nobody waits for the reader")
        assert recommender.recommend("nobody", Request()).model_version == version(1)
    switch.join(timeout=30)
    assert ask(films).model_version == version(2)


def waits_for_a_view(engine: Engine) -> bool:
    with engine.connect() as connection:
        here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        waits = f"SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND {here})"  # noqa: S608
        return bool(connection.scalar(text(waits)))


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


# Thousands of films

MANY = 3_000
FEW = 300
"""Films that are compared one by one, where a test says so."""
FIRST = 100_001
FILMS_IN_SAGA = 5


@pytest.fixture(scope="module")
def many(postgres: EmbeddedPostgres) -> Iterator[Session]:
    """Thousands of films, few enough to be compared one by one, in a database of their own."""
    engine = create_engine(make_database(postgres), connect_args=CONNECT_ARGS)
    migrate(engine)
    ids = np.arange(FIRST, FIRST + MANY, dtype=np.int32)
    with Session(engine) as session:
        made = [
            MovieRecord(id=i, title=f"Film {i}", collection="Saga" if i < FIRST + FILMS_IN_SAGA else None)
            for i in ids.tolist()
        ]
        for begin in range(0, MANY, 1000):
            upsert(session, made[begin : begin + 1000], source="file")
        taste_store.build(session.connection(), version(50), ids, random(MANY), ORDER)
        taste_store.activate(session, version(50))
        session.execute(text("ANALYZE movies"))
        yield session
    engine.dispose()


ORDER = np.random.default_rng(9).permutation(MANY)


def test_similar_films_are_those_of_the_greatest_products(many: Session) -> None:
    factors, found = random(MANY), 0
    for film in range(0, MANY, 300):
        answer = PgvectorRecommender(many).similar(FIRST + film, Request(n=10))
        products = many_products(factors, film)
        nearest = set(np.argsort(-products)[:10].tolist())
        found += len(nearest & {row["id"] - FIRST for row in answer.rows})
    assert found == 100


def many_products(factors: ItemFactors, film: int) -> NDArray[np.float32]:
    """How similar every film is to this one, by the definition of `ml/similarity.py`."""
    products: NDArray[np.float32] = factors.s @ query(factors.s[film])
    products[:FILMS_IN_SAGA] += SAME_COLLECTION * (film < FILMS_IN_SAGA)
    products[film] = -np.inf
    return products


def test_a_recommendation_is_exact(many: Session) -> None:
    factors = random(MANY)
    answer = PgvectorRecommender(many).recommend("nobody", Request(n=100))
    expected = np.argsort(-(factors.q @ factors.start))[:100] + FIRST
    assert [row["id"] for row in answer.rows] == expected.tolist()


def test_reach_is_the_order_by_which_films_are_stored(many: Session) -> None:
    reach = many.execute(text("SELECT movie_id, reach FROM item_factors WHERE movie_id > 0 ORDER BY reach")).all()
    assert [row.reach for row in reach] == list(range(MANY))
    assert [row.movie_id - FIRST for row in reach] == ORDER.tolist()


def test_a_list_looks_through_the_films_that_reach_farthest(indexed: Session) -> None:
    factors, recommender, near = lying(MANY), PgvectorRecommender(indexed), ORDER[:FEW]
    products = factors.q @ factors.start
    expected = near[np.argsort(-products[near])][:50] + FIRST
    assert [row["id"] for row in recommender.recommend("nobody", Request(n=50)).rows] == expected.tolist()
    # Where it would come short it looks through all.
    all_of_them = np.argsort(-products)[400:500] + FIRST
    assert [
        row["id"] for row in recommender.recommend("nobody", Request(n=100, page=5)).rows
    ] == all_of_them.tolist()


def test_films_are_in_the_order_of_how_near_they_come_to_the_top_for_anyone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    factors = random(500)
    people = np.random.default_rng(4).standard_normal((90, DIMENSIONS)).astype(np.float32)
    ranks = np.argsort(np.argsort(-(factors.q @ people.T), axis=0), axis=0)
    expected = np.lexsort((np.arange(500), ranks.min(axis=1)))
    assert factors.by_reach(people).tolist() == expected.tolist()
    # Of those that come first for nobody it is not told how far they reach.
    monkeypatch.setattr(item_factors, "EXACT_LIMIT", 80)
    assert factors.by_reach(people)[:80].tolist() == expected[:80].tolist()
    assert sorted(factors.by_reach(people).tolist()) == list(range(500))


# Thousands of films, of which indexes find the first


def lying(films: int) -> ItemFactors:
    """Factors that lie in few directions, as films do; in all of them a graph would lose its way."""
    factors, rng = random(films), np.random.default_rng(3)
    for part in (factors.q, factors.s):
        ways = rng.standard_normal((12, part.shape[1]), dtype=np.float32)
        part[:] = rng.standard_normal((films, 12), dtype=np.float32) @ ways / 12 + part / 12
    return factors


def meanings(films: int) -> NDArray[np.float32]:
    """Embeddings of the same sort, shape (films, 384)."""
    rng = np.random.default_rng(4)
    made = rng.standard_normal((films, 12)) @ rng.standard_normal((12, EMBEDDING_DIMENSION))
    unit: NDArray[np.float32] = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def embedded(many: Session) -> Session:
    """The same films with embeddings and the index over them."""
    ids, vectors = list(range(FIRST, FIRST + MANY)), meanings(MANY)
    save_embeddings(many, ids, vectors, model=PACKAGED_MODEL)
    many.execute(text(f"CREATE INDEX {INDEX} ON movies {IndexPlan('hnsw').definition}"))
    return many


@pytest.fixture
def indexed(embedded: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Another version, of so many films that not all are compared with one."""
    monkeypatch.setattr(taste_store, "EXACT_LIMIT", FEW)
    with embedded.begin_nested() as savepoint:
        ids = np.arange(FIRST, FIRST + MANY, dtype=np.int32)
        taste_store.build(embedded.connection(), version(51), ids, lying(MANY), ORDER)
        taste_store.activate(embedded, version(51))
        # A catalogue of this size would be searched without them.
        searching = ("hnsw.ef_search = 100", "hnsw.iterative_scan = strict_order")
        for setting in ("enable_seqscan = off", "enable_sort = off", *searching):
            embedded.execute(text(f"SET LOCAL {setting}"))
        yield embedded
        savepoint.rollback()


def all_alike(film: int) -> NDArray[np.float32]:
    """How similar every film is to this one, by the definition."""
    factors, vectors = lying(MANY), meanings(MANY)
    scores: NDArray[np.float32] = factors.s @ query(factors.s[film]) + closeness(vectors @ vectors[film])
    scores[:FILMS_IN_SAGA] += SAME_COLLECTION * (film < FILMS_IN_SAGA)
    scores[film] = -np.inf
    return scores


def similar(session: Session, film: int, request: Request, user_id: str | None = None) -> list[int]:
    rows = PgvectorRecommender(session).similar(FIRST + film, request, user_id=user_id).rows
    return [row["id"] - FIRST for row in rows]


def test_what_indexes_find_is_what_comparing_with_every_film_finds(indexed: Session) -> None:
    shares = []
    for film in range(0, MANY, 100):
        rows = PgvectorRecommender(indexed).similar(FIRST + film, Request(n=10)).rows
        scores = all_alike(film)
        shares.append(len({row["id"] - FIRST for row in rows} & set(np.argsort(-scores)[:10].tolist())) / 10)
        assert [row["score"] for row in rows] == pytest.approx(
            [scores[row["id"] - FIRST] for row in rows], rel=1e-4
        )
    assert np.mean(shares) >= 0.95


def test_both_indexes_are_used(indexed: Session) -> None:
    def plan(by: By) -> str:
        scope = Scope(model=PACKAGED_MODEL, include_adult=False)
        statement = similar_statement(FIRST, scope, Request().window, by=by).compile(indexed.connection())
        rows = indexed.connection().exec_driver_sql(f"EXPLAIN {statement}", statement.params)
        return "\n".join(rows.scalars())

    assert "close_places" in plan("best")
    assert INDEX in plan("embedding")
    # Of what functions do no plan tells.
    place = "(SELECT place FROM likeness LIMIT 1)"
    search = f"SELECT movie_id FROM likeness WHERE indexed ORDER BY place <-> {place} LIMIT 10"  # noqa: S608
    assert "_place_idx" in "\n".join(indexed.connection().exec_driver_sql(f"EXPLAIN {search}").scalars())


def test_by_embedding_is_the_order_of_cosine_in_full_precision(indexed: Session) -> None:
    vectors, found = meanings(MANY), 0
    for film in range(0, MANY, 100):
        rows = PgvectorRecommender(indexed).similar(FIRST + film, Request(n=50, by="embedding")).rows
        cosines = vectors @ vectors[film]
        scores = [row["score"] for row in rows]
        assert scores == sorted(scores, reverse=True)
        assert scores == pytest.approx([cosines[row["id"] - FIRST] for row in rows], abs=1e-6)
        found += len({row["id"] - FIRST for row in rows} & set(np.argsort(-cosines)[1:51].tolist()))
    assert found / 50 / 30 >= 0.95


def test_pages_of_what_indexes_find_are_slices_of_one_list(indexed: Session) -> None:
    for film in (0, 7, 1500):
        whole = similar(indexed, film, Request(n=500))
        assert len(set(whole)) == 500
        for n, page in ((10, 1), (10, 5), (10, 6), (30, 2), (100, 1), (100, 5), (300, 2)):
            assert similar(indexed, film, Request(n=n, page=page)) == whole[(page - 1) * n : page * n]
        assert len(set(whole[:100]) & set(np.argsort(-all_alike(film))[:100].tolist())) >= 95


@pytest.mark.parametrize("seen", [1_000, 2_990])
def test_who_has_seen_most_films_has_a_full_list_all_the_same(indexed: Session, seen: int) -> None:
    indexed.execute(text("INSERT INTO users (external_id) VALUES ('keen')"))
    films = np.argsort(-all_alike(7))[:seen]
    acts = text("""
        INSERT INTO interactions (user_id, movie_id, kind)
        SELECT users.id, unnest(CAST(:films AS integer[])), 'watched' FROM users WHERE external_id = 'keen'
    """)
    indexed.execute(acts, {"films": (films + FIRST).tolist()})
    there_are = np.argsort(-all_alike(7))[seen : MANY - 1]
    found = similar(indexed, 7, Request(n=50), user_id="keen")
    assert len(found) == min(50, len(there_are))
    assert len(set(found) & set(there_are[:50].tolist())) >= 0.95 * len(found)
    recommended = PgvectorRecommender(indexed).recommend("keen", Request(n=50)).rows
    assert len(recommended) == min(50, MANY - seen)
    assert {row["id"] - FIRST for row in recommended}.isdisjoint(films.tolist())


@pytest.mark.parametrize("louder", [1.0, 1.2])
def test_a_film_that_arrives_is_found_by_what_indexes_find(indexed: Session, louder: float) -> None:
    """Also one that lies somewhat farther out than all that were there when the index was laid out."""
    upsert(indexed, [MovieRecord(id=FIRST + MANY, title="New")], source="file")
    factors = lying(MANY)
    film = max(range(MANY), key=lambda place: furthest(factors.s[[place]]))
    s, q = factors.s[[film]] * louder, factors.start[None] * 9
    assert (furthest(s) > furthest(factors.s)) == (louder > 1)
    one = replace(nowhere_to_be_found(1), p=q, q=q, s=s, start=factors.start, known=np.ones(1, dtype=bool))
    taste_store.add(indexed, version(51), np.array([FIRST + MANY], dtype=np.int32), one)
    ahead = int((all_alike(film) > float(s[0] @ query(factors.s[film]))).sum())
    assert similar(indexed, film, Request(n=ahead + 1))[ahead] == MANY
    assert len(similar(indexed, MANY, Request(n=10))) == 10
    assert PgvectorRecommender(indexed).recommend("nobody", Request(n=1)).rows[0]["id"] == FIRST + MANY


def test_going_back_to_a_version_without_an_index_compares_with_every_film(indexed: Session) -> None:
    taste_store.activate(indexed, version(50))
    factors = random(MANY)
    scores = many_products(factors, 9) + closeness(meanings(MANY) @ meanings(MANY)[9])
    assert similar(indexed, 9, Request(n=20)) == np.argsort(-scores)[:20].tolist()
