"""The layers in their order: whoever can answer in time does, and the answer says who it was."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import InternalError, ProgrammingError
from sqlalchemy.orm import Session

from backend.catalog.filters import Filters, MovieRef
from backend.config import Settings
from backend.database import DATABASE_GONE, OutOfTimeError, giving_up_in_silence, pulse, time_budget
from backend.errors import LayerUnavailableError, MovieNotFoundError, MovieNotShownError, UnavailableError
from backend.ml.answer import Answer, Request, Rows, Source, Verdict
from backend.ml.artefact import Artefact, Watched
from backend.ml.breaker import Breaker, BreakerConfig
from backend.ml.embedding_recommender import EmbeddingRecommender
from backend.ml.file_cache import FileCache, cache_folder
from backend.ml.film_table import FilmTable
from backend.ml.layer import Layer
from backend.ml.people_store import PeopleFile
from backend.ml.pgvector_recommender import PgvectorConfig, PgvectorRecommender
from backend.ml.popular_recommender import PopularRecommender, bundled_films
from backend.ml.ramp import Ramp
from backend.ml.rows import Screen, home_screen
from backend.ml.svd_recommender import SVDModel, SVDRecommender, models_folder
from backend.ml.taste_statements import Vector384
from backend.telemetry import LAYER_UP

log = structlog.get_logger()

FAILURES = (*DATABASE_GONE, ProgrammingError, InternalError)
"""What says that the database can't answer: gone, frozen, without the extension or the schema, read-only."""
WATCH_SECONDS = 1.0

Result = TypeVar("Result")


Ask = Callable[[Layer], Result]


@dataclass(frozen=True)
class RecommenderConfig:
    """How patient the recommender is with the database."""

    budget: float = 1.0
    """Seconds that the database has for an answer before the file cache gives it."""
    doubt: float = 0.15
    """Seconds without a pulse after which the file cache answers: a false alarm costs next to nothing."""
    silence: float = 0.5
    """Seconds without a pulse after which what only the database can answer is refused."""
    screen_budget: float = 2.0
    """Seconds that it has for a home screen, which is nine answers in one."""
    breaker: BreakerConfig = field(default_factory=BreakerConfig)


class Layers:
    """The layers of a process and how they are: what is open of the files, and whether to ask the database."""

    def __init__(self, settings: Settings, config: RecommenderConfig | None = None) -> None:
        self.settings = settings
        self.config = config or RecommenderConfig()
        self.breaker = Breaker(self.config.breaker)
        self._ramp = Ramp(settings.db_pool_size)
        open_cache = partial(_open_cache, settings=settings)
        open_model = partial(_open_model, settings=settings)
        self.cache = Watched("file_cache", cache_folder(settings), open_cache)
        self.model = Watched("svd", models_folder(settings), open_model)
        self.looked = False
        """Whether the files have been opened, as far as they are there."""
        self.in_use: Source = "pgvector"
        """Who answered last."""
        self._said: Source = "pgvector"
        self._last_known: tuple[FilmTable, PeopleFile | None] | None = None
        self.database_trouble = ""
        """Why the database last failed to answer."""
        LAYER_UP.labels("pgvector").set_function(lambda: float(not self.database_is_away))

    def refresh(self) -> None:
        """Follow the files: open what is new, let go of what is gone."""
        for layer in (self.model, self.cache):
            layer.refresh()
            with suppress(LayerUnavailableError):
                opened = layer.get()
                self._last_known = (opened.films, opened.people)
        self.looked = True

    def watch(self, stop: threading.Event) -> None:
        """Do so until `stop` is set; the body of a thread."""
        bundled_films()
        self.refresh()
        while not stop.wait(WATCH_SECONDS):
            self.refresh()

    def get_popular(self) -> Layer:
        """What answers when all else fails: with the films last known here, or else the bundled ones."""
        if self._last_known is None:
            return self.get_bundled()
        films, people = self._last_known
        return PopularRecommender(films, people, include_adult=self.settings.include_adult)

    def get_bundled(self) -> Layer:
        """The same with the films of the bundled catalogue, which can't be gone."""
        return PopularRecommender(bundled_films(), include_adult=self.settings.include_adult)

    @property
    def database_is_away(self) -> bool:
        """Whether it is left alone; not where a moment's silence only raises doubt."""
        return self.breaker.is_open or pulse.silence > self.config.silence

    def worked(self, source: Source) -> None:
        """Note who answered. Said is only what lasts: one request that was handed on is counted, not logged."""
        self.in_use = source
        if source == "pgvector":
            self.breaker.worked()
        if (source == "pgvector") != self.database_is_away:
            self._say(source)

    def database_failed(self, error: Exception) -> None:
        """Note that the database did not answer, and why."""
        cause = getattr(error, "orig", None) or error
        self.database_trouble = _one_line(cause)
        # Without a pulse nobody needs to count, and with it again nobody needs to try.
        is_silent = pulse.silence > self.config.doubt
        if not is_silent:
            self.breaker.failed(slowly=isinstance(cause, OutOfTimeError))
        if is_silent or self.breaker.is_open:
            self._ramp.begin_anew()

    def may_ask_database(self) -> bool:
        """Whether to begin with it, where another layer can answer as well."""
        is_silent = pulse.silence > self.config.doubt
        return not is_silent and self._ramp.has_room and self.breaker.lets_through()

    @contextmanager
    def asking_first(self, budget: float | None = None) -> Iterator[None]:
        """Around a question to the database that another layer answers where it takes long: so many seconds."""
        seconds = budget or self.config.budget
        with self._ramp.asking(), time_budget(seconds), giving_up_in_silence(self.config.doubt):
            yield

    @contextmanager
    def asking_database(self) -> Iterator[None]:
        """Around what only the database can answer. Raises UnavailableError while it is left alone.

        Whoever waited for it then would hold a thread that another layer could answer with.
        """
        if pulse.silence > self.config.silence or not self.breaker.lets_through():
            raise UnavailableError()
        try:
            with giving_up_in_silence(self.config.silence):
                yield
        except DATABASE_GONE as error:
            self.database_failed(error)
            raise
        self.worked("pgvector")

    def _say(self, source: Source) -> None:
        if source != self._said:
            before, self._said = self._said, source
            trouble = self.database_trouble or "it does not answer"
            log.warning("layer_in_use", layer=source, before=before, database=trouble)


class Recommender:
    """pgvector, else the file cache, else the model on disk, else popular films."""

    def __init__(self, session: Session, layers: Layers) -> None:
        config = PgvectorConfig.from_settings(layers.settings)
        self.database = PgvectorRecommender(session, config)
        self._layers = layers

    @property
    def layer(self) -> Source:
        """The layer that answered last."""
        return self._layers.in_use

    def similar(self, ref: MovieRef, request: Request, *, user_id: str | None = None) -> Answer:
        """Films like one film, from the first layer that can."""
        return self._answer(lambda layer: layer.similar(ref, request, user_id=user_id))

    def recommend(self, user_id: str, request: Request) -> Answer:
        """What a person may like, from the first layer that can."""
        return self._answer(lambda layer: layer.recommend(user_id, request))

    def recommend_for(
        self,
        request: Request,
        *,
        liked: Sequence[MovieRef] = (),
        disliked: Sequence[MovieRef] = (),
        meaning: Vector384 | None = None,
    ) -> tuple[Answer, list[MovieRef]]:
        """The same for someone without an account; also the films that are not known."""
        (answer, unknown), degraded = self._first(
            lambda layer: layer.recommend_for(request, liked=liked, disliked=disliked, meaning=meaning)
        )
        return replace(answer, degraded=degraded), unknown

    def home_screen(self, user_id: str, request: Request, *, year: int) -> tuple[Screen, bool]:
        """Rows for a person, all from the first layer that can, and whether it stands in for another."""
        budget = self._layers.config.screen_budget
        return self._first(lambda layer: home_screen(layer, user_id, request, year=year), budget=budget)

    def why(self, user_id: str, ref: MovieRef, request: Request) -> Verdict:
        """Why a film is, or is not, among what a person may like. Raises MovieNotFoundError."""
        return self._first(lambda layer: layer.why(user_id, ref, request))[0]

    def search(self, query: str, request: Request, *, meaning: Vector384 | None) -> Answer:
        """Films by title and meaning; only the database can."""
        with self._layers.asking_database(), time_budget(self._layers.config.budget):
            return self.database.search(query, request, meaning=meaning)

    def detail(self, ref: MovieRef) -> dict[str, Any]:
        """All that is known of a film. Raises MovieNotFoundError where the catalogue is known not to have it."""
        return self._first(lambda layer: layer.detail(ref))[0]

    def browse(self, filters: Filters, *, limit: int, offset: int) -> tuple[Rows, int]:
        """Films, the popular and good first, and how many there are in all."""
        return self._first(lambda layer: layer.browse(filters, limit=limit, offset=offset))[0]

    def _answer(self, ask: Ask[Answer]) -> Answer:
        answer, degraded = self._first(ask)
        return replace(answer, degraded=degraded)

    def _first(self, ask: Ask[Result], *, budget: float | None = None) -> tuple[Result, bool]:
        """What the first layer says that can answer, and whether it stands in for another."""
        is_known = True
        for source, layer in self._each():
            try:
                with self._layers.asking_first(budget) if source == "pgvector" else nullcontext():
                    result = ask(layer())
            except FAILURES as error:
                # Whoever asks again in this session finds a connection that works.
                self.database.db.rollback()
                self._layers.database_failed(error)
            except LayerUnavailableError:
                continue
            except MovieNotFoundError as error:
                if source == "pgvector" or isinstance(error, MovieNotShownError):
                    self._layers.worked(source)
                    raise
                # It may have come after the file was written.
                is_known = False
            else:
                if is_known:
                    self._layers.worked(source)
                return result, source != "pgvector"
        raise UnavailableError()

    def _each(self) -> Iterator[tuple[Source, Callable[[], Layer]]]:
        if self._layers.may_ask_database():
            yield "pgvector", lambda: self.database
        yield "file_cache", self._layers.cache.get
        yield "svd", self._layers.model.get
        yield "popular", self._layers.get_popular
        # What is remembered may be of files that have been damaged since.
        yield "popular", self._layers.get_bundled


def _open_cache(artefact: Artefact, *, settings: Settings) -> EmbeddingRecommender:
    cache = FileCache.open(artefact, model=settings.embedding_model)
    return EmbeddingRecommender(cache, include_adult=settings.include_adult)


def _open_model(artefact: Artefact, *, settings: Settings) -> SVDRecommender:
    return SVDRecommender(SVDModel.open(artefact), include_adult=settings.include_adult)


def _one_line(cause: Exception) -> str:
    return f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"
