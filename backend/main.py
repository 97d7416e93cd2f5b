"""The service: everything brought up in order, then answers on HOST:PORT."""

import math
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

import structlog
import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from threadpoolctl import threadpool_limits
from uvicorn.config import STARTUP_FAILURE

from backend.api import (
    docs,
    film_map,
    imports,
    interactions,
    jobs,
    movies,
    ops,
    page,
    people,
    problems,
    recommendations,
    rows,
)
from backend.api.access import KEY_FILE, Keys, document_keys, require_client, stored_secret
from backend.api.cached_answers import CachedAnswers
from backend.api.deps import Words
from backend.api.foreign_sites import RefuseForeignSites
from backend.api.limits import RateLimit
from backend.api.middleware import BelowPrefix, BodyLimit, RequestContext
from backend.api.render import RecommendationIds
from backend.api.request_id import HEADER
from backend.api.response_cache import ResponseCache
from backend.catalog.pipeline import load_starter_if_empty
from backend.config import Settings, get_settings
from backend.database import (
    DATABASE_GONE,
    get_embedded_postgres,
    get_engine,
    keep_to_budgets,
    session_scope,
    time_budget,
)
from backend.embedded_postgres import exit_on_signals
from backend.errors import JobSkippedError, LayerUnavailableError, SetupError
from backend.migrations import migrate
from backend.ml.artefact import open_current
from backend.ml.corpus import say_which
from backend.ml.embeddings import embed_pending, embedding_coverage
from backend.ml.encoder import get_encoder
from backend.ml.file_cache import CacheKeeper, cache_folder
from backend.ml.film_map import is_wanting
from backend.ml.recommender import Layers
from backend.ml.training import is_trained, place_arrivals, train
from backend.ml.vector_index import ensure_index
from backend.operations.changes import follow_changes
from backend.operations.companion import SchedulerCompanion
from backend.operations.doctor import examine
from backend.operations.freshness import keep_fresh
from backend.operations.jobs import request_job

log = structlog.get_logger()

EMBEDDED_BEFORE_SERVING = 5_000
"""The first films are worth waiting for, a minute or so; any other backlog is the scheduler's work."""

LOOK_SECONDS = 1.0
"""How often one looks whether a database that was away at the start is there."""

DESCRIPTION = """
Movie recommendations from your own Postgres. Films are identified by their TMDB id (an IMDb id works too),
people by whatever the client calls them. Every route stands at the root and under `/v1`.

This product uses the TMDB API but is not endorsed or certified by TMDB.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP application; the database is asked for when the first request comes."""
    chosen = settings or get_settings()
    app = FastAPI(
        title="Marquee",
        description=DESCRIPTION,
        version="0.1.0",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = chosen
    app.state.keys = Keys.from_settings(chosen)
    app.state.words = Words(chosen.embedding_model)
    app.state.layers = Layers(chosen)
    app.state.recommendation_ids = RecommendationIds(stored_secret(chosen.data_dir / "token_secret"))
    app.state.response_cache = ResponseCache()
    _add_middleware(app, chosen)
    problems.register(app)
    document_keys(app)
    _add_routes(app)
    return app


def run_server(settings: Settings, *, scheduler: bool = True) -> None:
    """Prepare the database, then serve until told to stop, with a scheduler beside it unless told not to.

    Where there is no database and files can answer, they do, and it is prepared when it is there.
    Raises SetupError where it can't begin to listen.
    """
    try:
        prepare(settings)
    except DATABASE_GONE as error:
        if not _files_can_answer(settings):
            raise
        log.warning("database_unusable", reason=str(error.__cause__).strip().partition("\n")[0])
        threading.Thread(target=_prepare_later, args=(settings,), name="preparation", daemon=True).start()
    key_is_new = not (settings.data_dir / KEY_FILE).exists()
    app = create_app(settings)
    server = _Server(server_config(app, settings), settings, key_is_new=key_is_new)
    exit_on_signals()
    with suppress(KeyboardInterrupt), SchedulerCompanion() if scheduler else nullcontext():
        try:
            server.run()
        except SystemExit as ended:
            # uvicorn has ended in order by the time it passes a SIGTERM on.
            if ended.code == STARTUP_FAILURE:
                raise SetupError(
                    f"Can't listen on {settings.host}:{settings.port}: choose another PORT."
                ) from ended
    print("Marquee has stopped.", flush=True)


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How requests come in; no address is logged, for there may be a key in it."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # Who else says for whom they ask, and by which scheme, is not believed.
        forwarded_allow_ips=settings.trusted_proxies,
        # Its lines go the way of all libraries'.
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # A client that reuses a connection in the moment it is closed here sees a failed request.
        timeout_keep_alive=75,
    )


def prepare(settings: Settings) -> None:
    """Schema, starter films, embeddings, index, taste, file cache: what is there already is left alone.

    Raises SetupError with what to run where something is missing.
    """
    engine = get_engine()
    migrate(engine)
    failed = [check for check in examine(engine) if not check.ok]
    if failed:
        raise SetupError("; ".join(f"{check.name}: {check.found}: {check.remedy}" for check in failed))
    loaded = load_starter_if_empty()
    if loaded:
        log.info("starter_catalogue_loaded", films=loaded.upserted.new)
    films = embedding_coverage(settings.embedding_model)
    if films.pending and not films.with_embeddings and films.pending <= EMBEDDED_BEFORE_SERVING:
        embed_pending(get_encoder(settings.embedding_model))
    elif films.pending:
        log.info("films_wait_for_embeddings", films=films.pending)
        with session_scope() as session:
            request_job(session, "embeddings")
    log.info("index", state=ensure_index(engine, settings))
    say_which(settings)
    _see_to_training(settings)
    try:
        CacheKeeper(settings).ensure()
    except (OSError, LayerUnavailableError) as error:
        # The database answers without it, and the scheduler tries again.
        log.warning("file_cache_not_written", reason=str(error))
    if is_wanting(settings):
        # It takes half a minute, and is no reason to wait: the scheduler sees to it.
        with session_scope() as session:
            request_job(session, "cache")


def _files_can_answer(settings: Settings) -> bool:
    try:
        open_current(cache_folder(settings))
    except LayerUnavailableError:
        return False
    return True


def _prepare_later(settings: Settings) -> None:
    """Prepare a database that was away, as soon as it is there; the body of a thread."""
    # Answers have a time; an index, or a training, takes what it needs.
    with time_budget(math.inf):
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                prepare(settings)
            except DATABASE_GONE:
                continue
            except SetupError as error:
                log.error("database_not_prepared", detail=error.detail)
            else:
                log.info("database_usable_again")
            return


def _see_to_training(settings: Settings) -> None:
    """Learn now where that takes seconds; else it is the scheduler's work, and what is there answers till then."""
    try:
        if is_trained(settings):
            place_arrivals(settings)
            return
        films = embedding_coverage(settings.embedding_model)
        if films.total_movies <= EMBEDDED_BEFORE_SERVING and films.with_embeddings:
            train(settings)
        elif films.with_embeddings:
            log.info("training_is_asked_for", films=films.with_embeddings)
            with session_scope() as session:
                request_job(session, "train")
    except (OSError, LayerUnavailableError, JobSkippedError) as error:
        # Popular films answer without it, and the scheduler tries again.
        log.warning("nothing_learned", reason=str(error))


class _Server(uvicorn.Server):
    """Says in one line where it can be reached, once it can."""

    def __init__(self, config: uvicorn.Config, settings: Settings, *, key_is_new: bool) -> None:
        super().__init__(config)
        self._settings = settings
        self._key_is_new = key_is_new

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"Marquee is ready at {self._address()}", flush=True)

    def _address(self) -> str:
        """With the key only at the start that made it: a log is no place for a key."""
        settings = self._settings
        port = self.servers[0].sockets[0].getsockname()[1]
        # All addresses are none that a browser can open.
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        host = f"[{shown}]" if ":" in shown else shown
        address = f"http://{host}:{port}"
        if settings.client_keys or settings.listens_on_loopback:
            return address
        key = settings.data_dir / KEY_FILE
        return f"{address}/?key={stored_secret(key)}" if self._key_is_new else f"{address} (the key: {key})"


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last one added is the first one asked."""
    app.add_middleware(CachedAnswers)
    app.add_middleware(BodyLimit)
    if settings.rate_limit:
        app.add_middleware(RateLimit, limit=settings.rate_limit)
    if not app.state.keys.client:
        app.add_middleware(RefuseForeignSites, allowed_origins=settings.allowed_origins)
    if settings.allowed_origins:
        # A page of another site asks with a key of its own: the cookie of ours is not for it.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", HEADER],
            expose_headers=["Retry-After", HEADER],
        )
    app.add_middleware(RequestContext)
    app.add_middleware(BelowPrefix, prefix=settings.root_path)


def _add_routes(app: FastAPI) -> None:
    guarded = APIRouter(dependencies=[Depends(require_client)], responses=problems.DOCUMENTED)
    for part in (recommendations, rows, movies, film_map, interactions, imports, people, ops, jobs):
        guarded.include_router(part.router)
    app.include_router(guarded)
    app.include_router(guarded, prefix="/v1", include_in_schema=False)
    app.include_router(ops.health)
    app.include_router(ops.health, prefix="/v1", include_in_schema=False)
    app.include_router(page.router, include_in_schema=False)
    app.include_router(docs.router, include_in_schema=False)
    app.mount("/web", page.PageFiles())


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.words.load_behind()
    keep_to_budgets()
    # Requests run side by side already: forty that each share out their products stand in each other's way, and
    # answered 16 lists a second from the file cache where they answer 800 with a thread each.
    threadpool_limits(1, user_api="blas")
    # One more than there are connections would take a thread to wait for one.
    current_default_thread_limiter().total_tokens = app.state.settings.db_pool_size
    stop, changed = threading.Event(), threading.Event()
    threading.Thread(target=app.state.layers.watch, args=(stop,), name="layers", daemon=True).start()
    followed = (app.state.response_cache, changed, stop)
    threading.Thread(target=follow_changes, args=followed, name="changes", daemon=True).start()
    kept_fresh = (app.state.settings, lambda: app.state.words.loaded, changed, stop)
    threading.Thread(target=keep_fresh, args=kept_fresh, name="freshness", daemon=True).start()
    embedded = get_embedded_postgres()
    if embedded is not None:
        threading.Thread(target=embedded.supervise, args=(stop,), name="postgres", daemon=True).start()
    yield
    stop.set()
    keep_to_budgets(keep=False)
