"""The layers behind each other: whatever happens to the database, somebody answers, and the answer says who."""

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from backend import database
from backend.catalog.filters import NO_FILTERS
from backend.catalog.records import MovieRecord
from backend.catalog.store import upsert
from backend.config import Settings
from backend.database import CONNECT_ARGS, keep_to_budgets
from backend.embedded_postgres import EmbeddedPostgres
from backend.errors import MovieNotFoundError, UnavailableError
from backend.migrations import migrate
from backend.ml import recommender as module
from backend.ml.answer import NOT_A_VERDICT, NOT_SEEN, Answer, Request
from backend.ml.breaker import Breaker, BreakerConfig
from backend.ml.embedding_recommender import EmbeddingRecommender
from backend.ml.file_cache import cache_folder
from backend.ml.people_store import PEOPLE
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.ml.popular_recommender import bundled_films
from backend.ml.recommender import Layers, Recommender, RecommenderConfig
from backend.ml.svd_recommender import models_folder
from backend.pulse import Pulse
from tests.catalogue import TOY_STORY
from tests.clock import Clock
from tests.conftest import make_database
from tests.ml.checkerboard import World, person, withheld
from tests.ml.test_layers import sent
from tests.test_database import frozen
from tests.test_embedded_postgres import eventually

ADA, NUMBER = person(12), 12
NOBODY_KNOWS = 10**6
BREAKER = BreakerConfig(failures=3, slow=3, pause=10.0)


class Service:
    """The layers of a process on a copy of the world's files, and the database as it is at the moment."""

    def __init__(self, world: World, folder: Path) -> None:
        shutil.copytree(world.settings.data_dir, folder)
        self.settings = world.settings.model_copy(update={"data_dir": folder})
        self.clock = Clock()
        self.layers = self.process()
        self.whole = self.engine = world.engine

    def process(self, settings: Settings | None = None) -> Layers:
        """A process that has just started and looked at the files."""
        layers = Layers(settings or self.settings, RecommenderConfig(budget=0.5, breaker=BREAKER))
        layers.breaker = Breaker(BREAKER, clock=self.clock)
        layers.refresh()
        return layers

    @contextmanager
    def asked(self) -> Iterator[Recommender]:
        """The recommender of one request."""
        with Session(self.engine) as session:
            yield Recommender(session, self.layers)

    def recommend(self, who: str = ADA, request: Request | None = None) -> Answer:
        with self.asked() as recommender:
            return recommender.recommend(who, request or Request())

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Nobody listens any more."""
        self.engine = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
        yield
        self.engine = self.whole
        self.clock.now += BREAKER.pause

    def remove_cache(self) -> None:
        shutil.rmtree(cache_folder(self.settings))

    def remove_models(self) -> None:
        shutil.rmtree(models_folder(self.settings))


@pytest.fixture
def service(world: World, tmp_path: Path) -> Service:
    return Service(world, tmp_path / "data")


def up(layer: str) -> float | None:
    """What the metrics say of a layer."""
    return REGISTRY.get_sample_value("marquee_layer_up", {"layer": layer})


def ids(answer: Answer) -> list[int]:
    """The films, in order."""
    return [row["id"] for row in answer.rows]


# However the database fails

Fault = Callable[[World, EmbeddedPostgres], AbstractContextManager[Engine]]


@contextmanager
def refused(world: World, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    yield create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")


@contextmanager
def gone(world: World, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    yield create_engine(world.engine.url.set(database="dropped_long_ago"))


@contextmanager
def without_the_schema(world: World, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    engine = create_engine(make_database(postgres))
    yield engine
    engine.dispose()


@contextmanager
def without_the_extension(world: World, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    engine = create_engine(make_database(postgres))
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP EXTENSION vector CASCADE"))
    yield engine
    engine.dispose()


@contextmanager
def cancelled(world: World, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """Every statement waits for a lock until the server ends it."""
    engine = create_engine(world.engine.url, connect_args={"options": "-c statement_timeout=20"})
    with world.engine.begin() as other:
        other.execute(text("LOCK TABLE movies IN ACCESS EXCLUSIVE MODE"))
        yield engine
    engine.dispose()


@contextmanager
def slow(world: World, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """Every statement waits for a lock, and nobody but the client ends that."""
    engine = create_engine(world.engine.url, connect_args=CONNECT_ARGS)
    with world.engine.begin() as other:
        other.execute(text("LOCK TABLE movies IN ACCESS EXCLUSIVE MODE"))
        yield engine
    engine.dispose()


@contextmanager
def busy(world: World, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    engine = create_engine(world.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect():
        yield engine
    engine.dispose()


FAULTS: list[Fault] = [refused, gone, without_the_schema, without_the_extension, cancelled, slow, busy]


@pytest.fixture
def keeping_to_budgets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in the service's process, but that what has no budget is waited for, without end."""
    monkeypatch.setattr(database, "PATIENCE", 600)
    keep_to_budgets()
    yield
    keep_to_budgets(keep=False)


def assert_file_cache_answers(service: Service, world: World) -> None:
    """That everything that can be asked is answered, twice over and in one session."""
    with service.asked() as recommender:
        for _ in range(2):
            known = recommender.recommend(ADA, Request(n=100, explain=True))
            assert (known.source, known.degraded, known.cold_start) == ("file_cache", True, False)
            assert ids(known)[0] == withheld(NUMBER)
            assert world.done(ADA, but_for=NOT_A_VERDICT).isdisjoint(ids(known))
            unknown = recommender.recommend("nobody", Request())
            assert (unknown.source, unknown.degraded, unknown.cold_start) == ("popular", True, True)
            similar = recommender.similar("tt0000002", Request(n=500), user_id="all kinds")
            assert (similar.source, similar.degraded, similar.cold_start) == ("file_cache", True, False)
            assert world.done("all kinds", but_for=NOT_SEEN).isdisjoint(ids(similar))
            given, missing = recommender.recommend_for(Request(), liked=[2, NOBODY_KNOWS], disliked=[1])
            assert (given.source, given.degraded, missing) == ("file_cache", True, [NOBODY_KNOWS])
            assert recommender.detail(44)["title"] == "Film 44"
            assert recommender.browse(NO_FILTERS, limit=5, offset=0)[1] == 600
            assert recommender.layer == "file_cache"
    assert up("pgvector") == 0


@pytest.mark.usefixtures("keeping_to_budgets")
@pytest.mark.parametrize("fault", FAULTS)
def test_however_the_database_fails_the_file_cache_answers(
    service: Service, world: World, postgres: EmbeddedPostgres, fault: Fault
) -> None:
    assert service.recommend().source == "pgvector"
    with fault(world, postgres) as engine:
        service.engine = engine
        assert_file_cache_answers(service, world)
    assert service.layers.database_trouble
    assert "\n" not in service.layers.database_trouble


@pytest.mark.usefixtures("keeping_to_budgets")
def test_so_it_does_when_the_server_is_frozen_and_when_it_thaws_the_database_does(
    service: Service, world: World, own_server: EmbeddedPostgres
) -> None:
    service.engine = create_engine(own_server.url("postgres"), pool_pre_ping=True, connect_args=CONNECT_ARGS)
    migrate(service.engine)
    with Session(service.engine) as session, session.begin():
        upsert(session, [MovieRecord(id=NOBODY_KNOWS, title="Newest")], source="file")
    with service.asked() as recommender:
        assert recommender.detail(NOBODY_KNOWS)["title"] == "Newest"
        with frozen(own_server):
            assert recommender.detail(2)["title"] == "Film 2"
            assert_file_cache_answers(service, world)
        service.clock.now += BREAKER.pause
        # The session that met the frozen server as well as a new one.
        assert recommender.detail(NOBODY_KNOWS)["title"] == "Newest"
    with service.asked() as recommender:
        assert recommender.browse(NO_FILTERS, limit=1, offset=0)[1] == 1
    service.engine.dispose()


def test_the_file_cache_says_what_the_database_would_have_said(service: Service) -> None:
    people = [*(person(number) for number in range(0, 40, 5)), "likes two", "mixed 3", "hates", "nobody"]
    requests = [Request(n=20), Request(n=20, page=2, diversity_boost=0.3)]
    before = [service.recommend(who, request) for who in people for request in requests]
    with service.without_database():
        away = [service.recommend(who, request) for who in people for request in requests]
    assert [ids(answer) for answer in away] == [ids(answer) for answer in before]
    assert [answer.model_version for answer in away] == [answer.model_version for answer in before]


# One after the other, and back again


def test_each_layer_stands_in_for_the_one_before_and_the_database_comes_back(service: Service) -> None:
    assert (service.recommend().source, service.recommend().degraded) == ("pgvector", False)
    with service.without_database():
        assert service.recommend().source == "file_cache"
        service.remove_cache()
        answer = service.recommend()
        assert (answer.source, answer.degraded, answer.cold_start) == ("svd", True, False)
        assert ids(answer)[0] == withheld(NUMBER)
        service.remove_models()
        answer = service.recommend()
        assert (answer.source, answer.degraded, answer.cold_start) == ("popular", True, True)
        service.layers.refresh()
        assert service.recommend().source == "popular"
    answer = service.recommend()
    assert (answer.source, answer.degraded, answer.cold_start) == ("pgvector", False, False)


def test_no_film_that_a_person_had_comes_from_a_model_either(service: Service, world: World) -> None:
    service.remove_cache()
    with service.without_database():
        for who in (ADA, "mixed 4", "all kinds", "ahead"):
            answer = service.recommend(who, Request(n=500))
            assert world.done(who, but_for=NOT_A_VERDICT).isdisjoint(ids(answer))


def test_films_and_people_are_remembered_when_all_files_are_gone(service: Service, world: World) -> None:
    service.remove_cache()
    service.remove_models()
    with service.without_database():
        for _ in range(2):
            for who in (ADA, "mixed 4", "all kinds", "nobody"):
                answer = service.recommend(who, Request(n=500))
                assert (answer.source, answer.degraded, answer.cold_start) == ("popular", True, True)
                assert set(ids(answer)) <= world.films.keys() - world.done(who, but_for=NOT_A_VERDICT)
            with service.asked() as recommender:
                assert recommender.detail(44)["title"] == "Film 44"
                similar = recommender.similar(44, Request(n=500), user_id="all kinds")
                assert world.done("all kinds", but_for=NOT_SEEN).isdisjoint(ids(similar))
            service.layers.refresh()


@pytest.mark.parametrize("name", [PEOPLE, "rows.bin"])
def test_nor_is_what_is_remembered_of_damaged_files_an_end(service: Service, name: str) -> None:
    service.remove_models()
    service.layers = service.process()
    (file,) = cache_folder(service.settings).glob(f"*/{name}")
    file.write_bytes(b"\xff")
    with service.without_database():
        answer = service.recommend()
        assert (answer.source, answer.degraded, len(answer.rows)) == ("popular", True, 10)


def test_with_nothing_but_what_is_bundled_every_question_has_an_answer(service: Service) -> None:
    service.remove_cache()
    service.remove_models()
    service.layers = service.process()
    with service.without_database(), service.asked() as recommender:
        for answer in (
            recommender.similar(TOY_STORY, Request(n=100, explain=True)),
            recommender.similar(NOBODY_KNOWS, Request(n=100, explain=True)),
            recommender.recommend(ADA, Request(n=100, diversity_boost=0.2)),
        ):
            assert (answer.source, answer.degraded, len(answer.rows)) == ("popular", True, 100)
        best = ids(recommender.recommend(ADA, Request(n=3)))
        answer, unknown = recommender.recommend_for(Request(n=2), liked=[best[0], NOBODY_KNOWS])
        assert (ids(answer), answer.degraded, unknown) == (best[1:], True, [NOBODY_KNOWS])
        assert recommender.detail("tt0114709")["title"] == "Toy Story"
        assert recommender.browse(NO_FILTERS, limit=1, offset=0)[1] == len(bundled_films())
        assert recommender.layer == "popular"


def test_a_process_that_starts_without_the_database_answers_too(service: Service) -> None:
    with service.without_database():
        service.layers = service.process()
        assert service.recommend().source == "file_cache"


def test_vectors_of_another_model_are_not_compared(service: Service) -> None:
    other = service.settings.model_copy(update={"embedding_model": "another"})
    service.layers = service.process(other)
    with service.without_database():
        assert service.recommend().source == "svd"


def test_people_that_can_not_be_read_are_not_taken_for_strangers(service: Service, world: World) -> None:
    (people,) = cache_folder(service.settings).glob(f"*/{PEOPLE}")
    people.write_bytes(b"\xff" * people.stat().st_size)
    with service.without_database():
        answer = service.recommend(ADA, Request(n=500))
        assert answer.source == "svd"
        assert world.done(ADA, but_for=NOT_A_VERDICT).isdisjoint(ids(answer))
        with service.asked() as recommender:
            assert recommender.similar(2, Request()).source == "file_cache"


def test_files_are_followed_as_they_come_and_go(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.01)
    away = service.settings.data_dir / "away"
    cache_folder(service.settings).rename(away)
    service.layers = service.process()
    stop = threading.Event()
    watching = threading.Thread(target=service.layers.watch, args=(stop,))
    watching.start()
    try:
        with service.without_database():
            assert service.recommend().source == "svd"
            away.rename(cache_folder(service.settings))
            eventually(lambda: service.recommend().source == "file_cache", "the cache was not found")
            assert up("file_cache") == 1
            service.remove_cache()
            assert service.recommend().source == "svd"
            eventually(lambda: up("file_cache") == 0, "the cache was not let go of")
    finally:
        stop.set()
        watching.join()


# Films


def test_a_film_that_came_after_the_cache_is_no_404_while_the_database_is_away(service: Service) -> None:
    with service.asked() as recommender:
        for ask in (recommender.detail, lambda film: recommender.similar(film, Request())):
            with pytest.raises(MovieNotFoundError):
                ask(NOBODY_KNOWS)
    with service.without_database():
        service.recommend()
        with service.asked() as recommender:
            answer = recommender.similar(NOBODY_KNOWS, Request())
            assert (answer.source, answer.degraded, answer.cold_start) == ("popular", True, False)
            assert len(answer.rows) == 10
            with pytest.raises(UnavailableError):
                recommender.detail(NOBODY_KNOWS)
            assert recommender.layer == "file_cache"
    with service.asked() as recommender, pytest.raises(MovieNotFoundError):
        recommender.detail(NOBODY_KNOWS)
    assert service.layers.in_use == "pgvector"


def test_a_film_without_an_embedding_has_an_answer_that_is_nobodys_fault(service: Service) -> None:
    with service.asked() as recommender:
        answer = recommender.similar(600, Request())
    assert (answer.source, answer.degraded) == ("popular", False)


# The circuit


@pytest.fixture
def attempts(service: Service) -> Iterator[list[str]]:
    """Each attempt to reach the database, which is away."""
    made: list[str] = []

    def connect() -> Any:
        made.append("connect")
        raise psycopg2.OperationalError("there is nobody")

    service.engine = create_engine("postgresql+psycopg2://", creator=connect)
    yield made
    service.engine = service.whole


def test_a_database_that_is_away_is_asked_three_times_and_then_once_a_pause(
    service: Service, attempts: list[str]
) -> None:
    for asked in (3, 4, 5):
        for _ in range(20):
            assert service.recommend().source == "file_cache"
        assert len(attempts) == asked
        service.clock.now += BREAKER.pause


def test_so_it_is_when_many_ask_at_once(service: Service, attempts: list[str]) -> None:
    for _ in range(BREAKER.failures):
        service.recommend()
    service.clock.now += BREAKER.pause
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.recommend(), range(100)))
    assert {answer.source for answer in answers} == {"file_cache"}
    assert all(sent(answer.rows) == sent(answers[0].rows) for answer in answers)
    assert len(attempts) == BREAKER.failures + 1


def test_a_connection_that_was_cut_costs_one_answer_from_the_cache(service: Service, world: World) -> None:
    service.engine = create_engine(world.engine.url, pool_size=1, max_overflow=0)
    with service.engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with world.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    with service.asked() as recommender:
        answers = [recommender.recommend(ADA, Request()) for _ in range(3)]
    assert [answer.source for answer in answers] == ["file_cache", "pgvector", "pgvector"]
    service.engine.dispose()


def test_each_change_of_state_is_told_once(service: Service) -> None:
    with capture_logs() as logged:
        for _ in range(2):
            for _ in range(5):
                service.recommend()
            with service.without_database():
                for _ in range(5):
                    service.recommend()
                    service.recommend("nobody")
                    with service.asked() as recommender:
                        recommender.similar(NOBODY_KNOWS, Request())
        service.recommend()
    told = [line for line in logged if line["event"] == "layer_in_use"]
    assert [line["layer"] for line in told] == ["file_cache", "pgvector"] * 2
    assert told[0]["before"] == "pgvector"
    assert "refused" in told[0]["database"]
    assert len(logged) == len(told)


def test_a_request_that_was_handed_on_is_no_change_of_state(service: Service, attempts: list[str]) -> None:
    with capture_logs() as logged:
        assert service.recommend().source == "file_cache"
        service.engine = service.whole
        assert service.recommend().source == "pgvector"
    assert (len(attempts), logged, up("pgvector")) == (1, [], 1)


def test_each_layer_that_stands_in_for_another_is_told(service: Service) -> None:
    with capture_logs() as logged:
        with service.without_database():
            for _ in range(BREAKER.failures):
                service.recommend()
            for remove in (service.remove_cache, service.remove_models):
                remove()
                service.recommend()
        service.recommend()
    told = [line for line in logged if line["event"] == "layer_in_use"]
    assert [line["layer"] for line in told] == ["file_cache", "svd", "popular", "pgvector"]
    assert [line["before"] for line in told] == ["pgvector", "file_cache", "svd", "popular"]


def test_the_metrics_say_which_layers_are_up(service: Service) -> None:
    assert (up("pgvector"), up("file_cache"), up("svd")) == (1, 1, 1)
    with service.without_database():
        for _ in range(BREAKER.failures):
            assert up("pgvector") == 1
            service.recommend()
        assert up("pgvector") == 0
        service.remove_cache()
        service.layers.refresh()
        assert (up("file_cache"), up("svd")) == (0, 1)
    service.recommend()
    assert up("pgvector") == 1


# The pulse


@pytest.fixture
def pulse(service: Service, monkeypatch: pytest.MonkeyPatch) -> Pulse:
    """The pulse of the database, as some thread would take it."""
    pulse = Pulse(clock=service.clock)
    monkeypatch.setattr(module, "pulse", pulse)
    return pulse


def test_while_the_database_is_silent_nobody_asks_it_and_then_all_do_at_once(
    service: Service, attempts: list[str], pulse: Pulse
) -> None:
    pulse.asks()
    service.clock.now += RecommenderConfig().doubt + 0.01
    for _ in range(20):
        answer = service.recommend()
        assert (answer.source, answer.degraded) == ("file_cache", True)
    assert attempts == []
    service.engine = service.whole
    pulse.answered()
    assert {service.recommend().source for _ in range(20)} == {"pgvector"}


def test_a_moment_of_silence_is_no_change_of_state_but_a_lasting_one_is(service: Service, pulse: Pulse) -> None:
    config = RecommenderConfig()
    with capture_logs() as logged:
        pulse.asks()
        service.clock.now += config.doubt + 0.01
        service.recommend()
        with service.layers.asking_database():
            pass
        assert (logged, up("pgvector")) == ([], 1)
        service.clock.now += config.silence
        with pytest.raises(UnavailableError), service.layers.asking_database():
            pytest.fail("it was asked")
        service.recommend()
        assert up("pgvector") == 0
        pulse.answered()
        service.recommend()
        assert up("pgvector") == 1
    assert [line["layer"] for line in logged] == ["file_cache", "pgvector"]


@pytest.mark.usefixtures("keeping_to_budgets")
def test_an_answer_that_takes_too_long_counts_less_than_none(
    service: Service, world: World, postgres: EmbeddedPostgres
) -> None:
    service.layers.breaker = Breaker(BreakerConfig(failures=1, slow=2), clock=service.clock)
    with slow(world, postgres) as engine:
        service.engine = engine
        assert service.recommend().source == "file_cache"
        assert not service.layers.breaker.is_open
        assert service.recommend().source == "file_cache"
        assert service.layers.breaker.is_open


def test_what_fails_in_silence_is_not_held_against_a_database_that_is_back(service: Service, pulse: Pulse) -> None:
    pulse.asks()
    service.clock.now += 1
    for _ in range(BREAKER.failures):
        service.layers.database_failed(OSError("away"))
    pulse.answered()
    assert service.recommend().source == "pgvector"


# What must not be hidden


def test_a_question_that_the_database_can_not_make_sense_of_is_an_error(service: Service) -> None:
    for _ in range(BREAKER.failures + 1):
        with service.asked() as recommender, pytest.raises(DataError):
            recommender.browse(NO_FILTERS, limit=-1, offset=0)
    assert not service.layers.breaker.is_open
    assert service.recommend().source == "pgvector"


@pytest.mark.parametrize("error", [RuntimeError, KeyError, AssertionError, OSError])
def test_a_bug_is_not_taken_for_a_layer_that_is_away(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def break_down(*_: Any, **__: Any) -> None:
        raise error("ours")

    monkeypatch.setattr(EmbeddingRecommender, "recommend", break_down)
    with service.without_database(), pytest.raises(error, match="ours"):
        service.recommend()
    assert service.recommend().source == "pgvector"
    monkeypatch.setattr(PgvectorRecommender, "recommend", break_down)
    with pytest.raises(error, match="ours"):
        service.recommend()


def test_only_the_database_searches(service: Service) -> None:
    with service.without_database(), service.asked() as recommender, pytest.raises(OperationalError):
        recommender.search("film", Request(), meaning=None)
    with service.asked() as recommender:
        assert recommender.search("film", Request(), meaning=None).source == "pgvector"


def test_films_unknown_to_the_database_say_that_it_is_there(service: Service) -> None:
    for _ in range(BREAKER.failures + 1):
        with service.asked() as recommender, pytest.raises(MovieNotFoundError):
            recommender.similar(NOBODY_KNOWS, Request())
    assert not service.layers.breaker.is_open
    assert up("pgvector") == 1
