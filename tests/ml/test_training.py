"""Training: a model that stands on its own, the same from the same data, or a word on what is missing."""

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from backend import database
from backend.catalog.filters import Filters
from backend.catalog.records import MovieRecord
from backend.catalog.store import upsert
from backend.config import Settings
from backend.errors import LayerUnavailableError, TooLittleFeedbackError
from backend.feedback.records import NewInteraction
from backend.feedback.store import erase, record
from backend.feedback.weights import Kind
from backend.ml.answer import Request
from backend.ml.artefact import DRAFT, Watched, open_current, withdraw
from backend.ml.file_cache import CacheKeeper, build_cache, cache_folder
from backend.ml.people_store import PEOPLE as PEOPLE_FILE
from backend.ml.svd_recommender import FACTORS, SVDModel, SVDRecommender, models_folder
from backend.ml.training import LEAST_FILMS, LEAST_OPINIONS, LEAST_PEOPLE, train

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

training.item_factors = hang
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


@pytest.fixture
def films(emptied_engine: Engine) -> Engine:
    """A catalogue without feedback."""
    with Session(emptied_engine) as session, session.begin():
        films = [MovieRecord(id=i, title=f"Film {i}", genres=["Drama"]) for i in range(1, UNTOUCHED + 1)]
        upsert(session, films, source="file")
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
        model = open_model(settings)
        yield SVDRecommender(model)
        model.people.close()


# Enough


def test_training_counts_what_it_learned_from(board: Engine, settings: Settings) -> None:
    counts = train(settings)
    opinions = PEOPLE * (FILMS // 2 - 1)
    assert counts == {"films": UNTOUCHED, "people": PEOPLE, "opinions": opinions, "rank": 2}
    (version,) = (path.name for path in models_folder(settings).iterdir() if path.is_dir())
    assert open_current(models_folder(settings)).version == version


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


def test_films_that_nobody_touched_have_no_factors(recommender: SVDRecommender) -> None:
    known = recommender.space.known
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
        made.append((artefact.version, np.array(artefact.array(FACTORS))))
    assert made[0][0] != made[1][0]
    np.testing.assert_array_equal(made[0][1], made[1][1])


def test_the_order_in_which_people_came_does_not_matter(films: Engine, settings: Settings) -> None:
    made = []
    for order in (1, -1):
        for person in range(PEOPLE)[::order]:
            add(films, [act for act in checkerboard() if act.user_id == f"p{person}"])
        train(settings)
        factors = np.array(open_current(models_folder(settings)).array(FACTORS))
        made.append(factors @ factors.T)
        with Session(films) as session, session.begin():
            session.execute(text("DELETE FROM users"))
    np.testing.assert_allclose(made[0], made[1], atol=1e-5)


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


# Too little


def test_nothing_at_all_is_too_little(emptied_engine: Engine, settings: Settings) -> None:
    with pytest.raises(TooLittleFeedbackError, match=r"^0 positive opinions of 0 people on 0 films"):
        train(settings)


def least() -> list[NewInteraction]:
    """Exactly as many people, films and opinions as it takes."""
    assert LEAST_PEOPLE * LEAST_FILMS == LEAST_OPINIONS
    return [did(f"p{person}", film) for person in range(LEAST_PEOPLE) for film in range(1, LEAST_FILMS + 1)]


def test_as_much_as_it_takes_is_enough(films: Engine, settings: Settings) -> None:
    add(films, least())
    assert train(settings) == {"films": UNTOUCHED, "people": 10, "opinions": 100, "rank": 1}


TOO_LITTLE: dict[str, list[NewInteraction]] = {
    "99 positive opinions of 10 people on 10 films": least()[1:],
    "180 positive opinions of 9 people on 20 films": [did(f"p{i // 20}", i % 20 + 1) for i in range(180)],
    "108 positive opinions of 12 people on 9 films": [did(f"p{i // 9}", i % 9 + 1) for i in range(108)],
    "0 positive opinions of 0 people on 0 films": [
        did(f"p{i // 20}", i % 20 + 1, *(("rating", 2.5) if i % 2 else ("dislike",))) for i in range(400)
    ],
}


@pytest.mark.parametrize("words", TOO_LITTLE)
def test_too_little_is_said_with_the_numbers(films: Engine, settings: Settings, words: str) -> None:
    add(films, TOO_LITTLE[words])
    with pytest.raises(TooLittleFeedbackError, match=re.escape(words)) as raised:
        train(settings)
    assert f"at least {LEAST_OPINIONS} of {LEAST_PEOPLE} people on {LEAST_FILMS} films" in str(raised.value)


def test_with_too_little_an_older_model_is_withdrawn(board: Engine, settings: Settings) -> None:
    train(settings)
    watched = Watched("svd", models_folder(settings), SVDModel.open)
    watched.refresh()
    watched.get().people.close()
    with Session(board) as session, session.begin():
        for person in range(PEOPLE - LEAST_PEOPLE + 1):
            erase(session, f"p{person}")
    with pytest.raises(TooLittleFeedbackError):
        train(settings)
    watched.refresh()
    with pytest.raises(LayerUnavailableError, match="there is none"):
        watched.get()
    assert not [path for path in models_folder(settings).iterdir() if path.is_dir()]


# Ends in the middle


def test_a_training_that_is_killed_leaves_the_older_model(board: Engine, settings: Settings) -> None:
    train(settings)
    old = open_current(models_folder(settings)).version
    address = {"DATABASE_URL": board.url.render_as_string(hide_password=False)}
    command = [sys.executable, "-c", HANGS, str(settings.data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | address) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()
    assert open_current(models_folder(settings)).version == old
    left = {path.name for path in models_folder(settings).iterdir() if path.is_dir()} - {old}
    assert [name.startswith(DRAFT) for name in left] == [True]
    train(settings)
    assert open_current(models_folder(settings)).version != old


def test_a_training_whose_disk_is_full_leaves_the_older_model(
    board: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    train(settings)
    old = open_current(models_folder(settings)).version
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", no_space)
        with pytest.raises(OSError, match="No space left"):
            train(settings)
    assert open_current(models_folder(settings)).version == old
    withdraw(models_folder(settings))
