"""Training: a model that stands on its own, the same from the same data; whatever ends it, something answers."""

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from backend import database
from backend.catalog.filters import Filters
from backend.catalog.records import MovieRecord
from backend.catalog.store import save_embeddings, upsert
from backend.config import PACKAGED_MODEL, Settings
from backend.errors import JobSkippedError, SetupError
from backend.feedback.records import NewInteraction
from backend.feedback.store import erase, record
from backend.feedback.weights import Kind
from backend.ml import quality_store, taste_store, training
from backend.ml.answer import Request
from backend.ml.artefact import DRAFT, open_current, publishing
from backend.ml.file_cache import CacheKeeper, FileCache, build_cache, cache_folder
from backend.ml.item_factors import ItemFactors
from backend.ml.learning import learn
from backend.ml.people_store import PEOPLE as PEOPLE_FILE
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.ml.svd_recommender import SVDModel, SVDRecommender, models_folder
from backend.ml.training import MODEL, ensure_trained, go_back, place_arrivals, train
from backend.models import EMBEDDING_DIMENSION
from tests.ml.factors import withdraw

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROOT = Path(__file__).parents[2]
PEOPLE, FILMS = 30, 20
UNTOUCHED = FILMS + 1
"""A film that nobody did anything with."""

HANGS = """
import sys, time
from pathlib import Path
from backend.config import Settings
from backend.ml import training

def hang(*_, **__):
    print("here", flush=True)
    time.sleep(600)

where, name = sys.argv[2].split(".")
setattr(getattr(training, where, training), name, hang)
training.train(Settings(_env_file=None, data_dir=Path(sys.argv[1])))
"""


def did(person: str, film: int, kind: Kind = "like", value: float | None = None) -> NewInteraction:
    """What a person did with a film."""
    return NewInteraction(person, kind, value, NOW, film, None, None, None)


def withheld(person: int) -> int:
    """The film of a person's parity that they did not get to yet."""
    return (person * 2 + person % 2) % FILMS + 1


def checkerboard() -> list[NewInteraction]:
    """Even people like films of one parity and odd people the others, but for one each; and dislike another."""
    liked = [
        did(f"p{person}", film)
        for person in range(PEOPLE)
        for film in range(person % 2 + 1, FILMS + 1, 2)
        if film != withheld(person)
    ]
    return liked + [did(f"p{person}", (withheld(person) % FILMS) + 1, "dislike") for person in range(PEOPLE)]


def add(engine: Engine, acts: list[NewInteraction]) -> None:
    """Have people do these things."""
    with Session(engine) as session, session.begin():
        record(session, acts)


def put(engine: Engine, *numbers: int, embedded: bool = False) -> None:
    """Films of either parity, as their keywords say; embeddings say nothing."""
    records = [
        MovieRecord(id=number, title=f"Film {number}", genres=["Drama"], keywords=[f"parity {number % 2}"])
        for number in numbers
    ]
    with Session(engine) as session, session.begin():
        upsert(session, records, source="file")
        if embedded:
            save_embeddings(session, list(numbers), vectors(len(numbers)), model=PACKAGED_MODEL)


def vectors(count: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Unit vectors that point nearly the same way."""
    made = np.random.default_rng(5).normal(scale=1e-3, size=(count, EMBEDDING_DIMENSION))
    made[:, 0] += 1
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def films(emptied_engine: Engine) -> Engine:
    """A catalogue without feedback and without embeddings."""
    put(emptied_engine, *range(1, UNTOUCHED + 1))
    return emptied_engine


@pytest.fixture
def board(films: Engine) -> Engine:
    """A catalogue on which people agree."""
    add(films, checkerboard())
    return films


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Where the models are to be."""
    return Settings(_env_file=None, data_dir=tmp_path)  # type: ignore[call-arg]


def version_on_disk(settings: Settings) -> str:
    """What layer 3 answers by."""
    return open_current(models_folder(settings)).version


def version_in_force(engine: Engine) -> str | None:
    """What layer 1 answers by."""
    with Session(engine) as session:
        return taste_store.find_active(session)


@contextmanager
def budgets() -> Iterator[None]:
    """As in the service."""
    database.keep_to_budgets()
    try:
        yield
    finally:
        database.keep_to_budgets(keep=False)


def recommended(engine: Engine, person: str, n: int = 3) -> list[int]:
    """By the database."""
    with Session(engine) as session:
        return [row["id"] for row in PgvectorRecommender(session).recommend(person, Request(n=n)).rows]


def tables(engine: Engine) -> list[str]:
    """Of the versions that the database holds."""
    statement = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'item!_factors!_%' ESCAPE '!'"
    with engine.connect() as connection:
        return sorted(connection.execute(text(statement)).scalars())


def open_model(settings: Settings) -> SVDModel:
    """The model in force."""
    return SVDModel.open(open_current(models_folder(settings)))


@pytest.fixture
def recommender(board: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[SVDRecommender]:
    """A layer that was trained, with the database and the cache gone since."""

    def gone() -> NoReturn:
        raise AssertionError("the database was asked")

    build_cache(settings)
    train(settings)
    shutil.rmtree(cache_folder(settings))
    with monkeypatch.context() as patch:
        patch.setattr(database, "get_engine", gone)
        patch.setattr(training, "get_engine", gone)
        model = open_model(settings)
        yield SVDRecommender(model)
        model.people.close()


# Enough


def test_training_counts_what_it_learned_from(board: Engine, settings: Settings) -> None:
    counts = train(settings)
    opinions = PEOPLE * (FILMS // 2)
    assert counts == {"films": UNTOUCHED, "people": PEOPLE, "opinions": opinions, "crowds": 1}
    (version,) = (path.name for path in models_folder(settings).iterdir() if path.is_dir())
    assert version_on_disk(settings) == version_in_force(board) == version


def test_the_database_recommends_what_was_withheld(board: Engine, settings: Settings) -> None:
    train(settings)
    for person in range(PEOPLE):
        assert recommended(board, f"p{person}")[0] == withheld(person)


def test_a_model_recommends_what_was_withheld_with_nothing_else_at_hand(recommender: SVDRecommender) -> None:
    for person in range(PEOPLE):
        answer = recommender.recommend(f"p{person}", Request(n=3))
        assert answer.rows[0]["id"] == withheld(person)
        assert (answer.source, answer.cold_start) == ("svd", False)


def test_a_model_folds_someone_in_whom_it_never_saw(recommender: SVDRecommender) -> None:
    answer, unknown = recommender.recommend_for(Request(n=5), liked=[2, 4, 99], disliked=[5])
    assert unknown == [99]
    assert all(row["id"] % 2 == 0 for row in answer.rows)


def test_a_model_renders_films_whole(recommender: SVDRecommender) -> None:
    assert recommender.detail(UNTOUCHED)["title"] == f"Film {UNTOUCHED}"
    assert recommender.similar(2, Request(n=1)).rows[0]["genres"] == ["Drama"]
    assert recommender.browse(Filters(genre=("Drama",)), limit=1, offset=0)[1] == UNTOUCHED


def test_films_that_nobody_touched_and_that_have_no_embedding_have_no_place(recommender: SVDRecommender) -> None:
    known = recommender.space.factors.known
    assert np.flatnonzero(~known).tolist() == [UNTOUCHED - 1]


def test_a_model_is_read_where_there_is_no_database_at_all(board: Engine, settings: Settings) -> None:
    train(settings)
    program = (
        "import sys; from backend.config import get_settings; from backend.ml.answer import Request\n"
        "from backend.ml.artefact import open_current\n"
        "from backend.ml.svd_recommender import SVDModel, SVDRecommender, models_folder\n"
        "model = SVDModel.open(open_current(models_folder(get_settings())))\n"
        "print(SVDRecommender(model).recommend('p0', Request(n=1)).rows[0]['id'])"
    )
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "DATA_DIR": str(settings.data_dir)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=os.environ | nowhere
    )
    assert done.stdout == f"{withheld(0)}\n", done.stderr


def test_two_trainings_on_equal_data_give_equal_factors(board: Engine, settings: Settings) -> None:
    made = []
    for _ in range(2):
        train(settings)
        artefact = open_current(models_folder(settings))
        factors = ItemFactors.open(artefact)
        made.append((artefact.version, np.hstack([factors.p, factors.q, factors.s])))
    assert made[0][0] != made[1][0]
    np.testing.assert_array_equal(made[0][1], made[1][1])


def test_the_order_in_which_people_came_does_not_matter(films: Engine, settings: Settings) -> None:
    made = []
    for order in (1, -1):
        for person in range(PEOPLE)[::order]:
            add(films, [act for act in checkerboard() if act.user_id == f"p{person}"])
        train(settings)
        factors = ItemFactors.open(open_current(models_folder(settings)))
        made.append(factors.p @ factors.q.T)
        with Session(films) as session, session.begin():
            session.execute(text("DELETE FROM users"))
    np.testing.assert_allclose(made[0], made[1], atol=5e-4)


def test_who_was_erased_is_not_in_the_next_model(board: Engine, settings: Settings) -> None:
    train(settings)
    with Session(board) as session, session.begin():
        erase(session, "p0")
    assert train(settings)["people"] == PEOPLE - 1
    model = open_model(settings)
    assert len(model.people.acts("p0")) == 0
    assert len(model.people.acts("p1")) == FILMS // 2
    model.people.close()


def test_who_is_erased_is_gone_from_the_model_at_the_next_look(board: Engine, settings: Settings) -> None:
    train(settings)
    keeper = CacheKeeper(settings)
    keeper.ensure()
    with Session(board) as session, session.begin():
        erase(session, "p0")
    keeper.follow()
    model = open_model(settings)
    assert len(model.people.acts("p0")) == 0
    assert len(model.people.acts("p1")) == FILMS // 2
    assert b"p0" not in (open_current(models_folder(settings)).folder / PEOPLE_FILE).read_bytes()
    model.people.close()


# Little or nothing


def test_without_a_film_there_is_nothing_to_do(emptied_engine: Engine, settings: Settings) -> None:
    with pytest.raises(JobSkippedError, match="no film"):
        train(settings)
    assert version_in_force(emptied_engine) is None
    assert not [path for path in models_folder(settings).iterdir() if path.is_dir()]


def test_without_people_there_is_a_model_all_the_same(emptied_engine: Engine, settings: Settings) -> None:
    put(emptied_engine, *range(1, 11), embedded=True)
    assert train(settings) == {"films": 10, "people": 0, "opinions": 0, "crowds": 0}
    assert len(recommended(emptied_engine, "whoever", n=10)) == 10
    add(emptied_engine, [did("one", 3)])
    assert {film % 2 for film in recommended(emptied_engine, "one", n=4)} == {1}


def test_who_did_nothing_that_tells_taste_is_no_opinion(films: Engine, settings: Settings) -> None:
    put(films, *range(1, UNTOUCHED + 1), embedded=True)
    add(films, [did("p0", film, "click") for film in range(1, 5)])
    assert train(settings) == {"films": UNTOUCHED, "people": 1, "opinions": 0, "crowds": 0}


def test_films_of_which_nothing_is_known_are_nothing_to_learn_about(films: Engine, settings: Settings) -> None:
    """Neither an embedding nor anyone's opinion: popular films answer on, where a version would have none."""
    with pytest.raises(JobSkippedError, match="none has an embedding or anyone's opinion"):
        train(settings)
    assert version_in_force(films) is None
    assert len(recommended(films, "whoever")) == 3


# Where it is needed


def test_what_nothing_answers_for_is_trained_once(board: Engine, settings: Settings) -> None:
    assert ensure_trained(settings)
    version = version_in_force(board)
    assert not ensure_trained(settings)
    assert version_in_force(board) == version_on_disk(settings) == version


def test_a_disk_without_a_model_is_given_one(board: Engine, settings: Settings) -> None:
    train(settings)
    shutil.rmtree(models_folder(settings))
    assert ensure_trained(settings)
    assert version_on_disk(settings) == version_in_force(board)


def test_a_model_without_what_places_films_is_replaced(board: Engine, settings: Settings) -> None:
    """As an earlier version of Marquee left it behind."""
    train(settings)
    with publishing(models_folder(settings)) as draft:
        (draft.folder / "factors.npy").write_bytes(b"")
    old = version_on_disk(settings)
    assert ensure_trained(settings)
    assert version_on_disk(settings) == version_in_force(board) != old


def test_a_database_without_factors_is_given_some(board: Engine, settings: Settings) -> None:
    train(settings)
    with Session(board) as session, session.begin():
        withdraw(session)
    assert ensure_trained(settings)
    assert version_on_disk(settings) == version_in_force(board)


def test_the_database_keeps_the_version_in_force_and_the_one_before(board: Engine, settings: Settings) -> None:
    versions = []
    for _ in range(3):
        train(settings)
        versions.append(version_in_force(board))
    kept = sorted(f"item_factors_{str(version).lower().replace('-', '_')}" for version in versions[1:])
    assert tables(board) == kept


@pytest.mark.parametrize("changed", [{"taste_pack": "movielens-small"}, {"embedding_model": "another"}])
def test_what_was_learned_in_another_way_is_learned_anew(
    board: Engine, settings: Settings, changed: dict[str, str]
) -> None:
    train(settings)
    other = settings.model_copy(update=changed)
    assert ensure_trained(other)
    assert not ensure_trained(other)
    assert ensure_trained(settings)


def test_training_works_in_a_process_that_keeps_to_budgets(board: Engine, settings: Settings) -> None:
    with budgets():
        train(settings)
    put(board, 40, embedded=True)
    with budgets():
        assert place_arrivals(settings) == 1


def test_the_version_before_answers_again_when_it_is_told_to(board: Engine, settings: Settings) -> None:
    train(settings)
    first, answer = version_in_force(board), recommended(board, "p0", n=9)
    add(board, [did("p0", film) for film in range(2, FILMS + 1, 2)])
    train(settings)
    second = version_in_force(board)
    assert go_back() == first == version_in_force(board)
    with Session(board) as session, session.begin():
        undo = "DELETE FROM interactions USING users WHERE users.id = user_id AND external_id = 'p0'"
        session.execute(text(f"{undo} AND kind = 'like' AND movie_id % 2 = 0"))
    assert recommended(board, "p0", n=9) == answer
    assert go_back() == second


def test_without_an_earlier_version_there_is_none_to_go_back_to(board: Engine, settings: Settings) -> None:
    with pytest.raises(SetupError, match="no earlier version"):
        go_back()
    train(settings)
    with pytest.raises(SetupError, match="no earlier version"):
        go_back()


# Films that arrive after it

ARRIVED = (30, 31)
"""One of each parity; `p0` likes odd films, as does every second one."""


@pytest.fixture
def arrived(board: Engine, settings: Settings) -> Engine:
    """Two films that came, and were embedded, when the training was over."""
    put(board, *range(1, UNTOUCHED + 1), embedded=True)
    train(settings)
    put(board, *ARRIVED, embedded=True)
    return board


def test_films_that_arrive_later_come_up_once_they_are_placed(arrived: Engine, settings: Settings) -> None:
    assert not set(ARRIVED) & set(recommended(arrived, "p0", n=50))
    version = version_in_force(arrived)
    assert place_arrivals(settings) == 2
    assert version_in_force(arrived) == version
    found = recommended(arrived, "p0", n=50)
    assert set(ARRIVED) <= set(found)
    assert found.index(31) < found.index(30)
    assert place_arrivals(settings) == 0


def test_films_that_arrive_later_have_similar_ones_and_are_similar(arrived: Engine, settings: Settings) -> None:
    place_arrivals(settings)
    with Session(arrived) as session:
        recommender = PgvectorRecommender(session)
        alike = [row["id"] for row in recommender.similar(31, Request(n=5)).rows]
        towards = [row["id"] for row in recommender.similar(1, Request(n=50)).rows]
    assert [film % 2 for film in alike].count(1) >= 4
    assert towards.index(31) < towards.index(30)


def test_films_that_arrive_later_are_in_the_cache_too(arrived: Engine, settings: Settings) -> None:
    place_arrivals(settings)
    build_cache(settings)
    cached = FileCache.open(open_current(cache_folder(settings)), model=PACKAGED_MODEL)
    try:
        assert cached.factors.known[np.searchsorted(cached.films.ids, ARRIVED)].all()
    finally:
        cached.people.close()


def test_the_next_training_places_them_as_the_model_did(arrived: Engine, settings: Settings) -> None:
    place_arrivals(settings)
    before = recommended(arrived, "p0", n=50)
    train(settings)
    after = recommended(arrived, "p0", n=50)
    assert place_arrivals(settings) == 0
    assert set(after) == set(before)
    assert after.index(31) < after.index(30)


def test_films_that_arrive_while_it_learns_are_placed_at_its_end(
    board: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn_meanwhile(*arguments: Any, **options: Any) -> Any:
        put(board, *ARRIVED, embedded=True)
        return learn(*arguments, **options)

    monkeypatch.setattr(training, "learn", learn_meanwhile)
    assert train(settings)["films"] == UNTOUCHED
    assert set(ARRIVED) <= set(recommended(board, "p0", n=50))


def test_films_without_an_embedding_wait_for_it(arrived: Engine, settings: Settings) -> None:
    place_arrivals(settings)
    put(arrived, 40)
    assert place_arrivals(settings) == 0


def test_many_films_are_placed_a_part_at_a_time(
    arrived: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(arrived, *range(40, 45), embedded=True)
    monkeypatch.setattr(training, "MOST_ARRIVALS", 3)
    assert place_arrivals(settings) == 7


def test_a_model_of_another_version_than_the_databases_places_nothing(
    arrived: Engine, settings: Settings, tmp_path: Path
) -> None:
    train(Settings(_env_file=None, data_dir=tmp_path / "elsewhere"))
    put(arrived, 40, embedded=True)
    assert place_arrivals(settings) == 0


def test_where_nothing_was_trained_nothing_is_placed(board: Engine, settings: Settings) -> None:
    put(board, 40, embedded=True)
    assert place_arrivals(settings) == 0


# Ends in the middle


@pytest.mark.parametrize("where", ["training.learn", "taste_store.build", "taste_store.activate"])
def test_a_training_that_is_killed_leaves_what_answered_before(
    board: Engine, settings: Settings, where: str
) -> None:
    train(settings)
    old, answer = version_on_disk(settings), recommended(board, "p0")
    address = {"DATABASE_URL": board.url.render_as_string(hide_password=False)}
    command = [sys.executable, "-c", HANGS, str(settings.data_dir), where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | address) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()
    assert version_in_force(board) == old
    assert recommended(board, "p0") == answer
    # By the last step it is whole on disk already, and says the same.
    assert (version_on_disk(settings) == old) == (where != "taste_store.activate")
    open_model(settings).people.close()
    left = {path.name for path in models_folder(settings).iterdir() if path.name.startswith(DRAFT)}
    assert len(left) == (where != "taste_store.activate")
    train(settings)
    assert version_on_disk(settings) == version_in_force(board) != old
    assert len(tables(board)) == 2


@pytest.mark.parametrize("step", ["np.save", "np.savez", "taste_store.build"])
def test_a_training_that_fails_leaves_what_answered_before(
    board: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def no_space(*_: object, **__: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    train(settings)
    old, kept, answer = version_on_disk(settings), tables(board), recommended(board, "p0")
    with monkeypatch.context() as patch:
        module, name = step.split(".")
        patch.setattr(np if module == "np" else taste_store, name, no_space)
        with pytest.raises(OSError, match="No space left"):
            train(settings)
    assert version_on_disk(settings) == version_in_force(board) == old
    assert set(kept) <= set(tables(board))
    assert recommended(board, "p0") == answer
    assert [path.name for path in models_folder(settings).iterdir() if path.is_dir()] == [old]
    assert (models_folder(settings) / old / MODEL).exists()
    train(settings)
    assert len(tables(board)) == 2


def test_a_training_notes_how_good_it_found_itself(films: Engine, settings: Settings) -> None:
    put(films, *range(UNTOUCHED + 1, 101))
    likes = [
        did(f"p{person}", 2 * place + person % 2 + 1) for person in range(60) for place in range(person % 7, 50)
    ]
    add(films, likes)
    with budgets():
        train(settings)
    with Session(films) as session:
        found = quality_store.find(session)
    assert found is not None
    assert found["version"] == version_in_force(films) == version_on_disk(settings)
    assert found["people"] == len(likes) // 50
    assert found["figures"].keys() == found["popularity"].keys() == {"ndcg_at_10", "recall_at_20", "coverage"}


def test_of_a_few_people_a_training_says_nothing(board: Engine, settings: Settings) -> None:
    train(settings)
    with Session(board) as session:
        assert quality_store.find(session) is None
