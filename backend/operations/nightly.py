"""What each job does, and what it counts. What takes long to import, the job that needs it imports."""

import datetime as dt
import threading

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from backend.catalog.planning import Wanted, tonight
from backend.catalog.queue_store import hide_stale
from backend.catalog.summary import LoadSummary
from backend.config import Settings
from backend.database import get_engine, session_scope
from backend.errors import JobEndedEarlyError, JobSkippedError
from backend.ml.embeddings import embed_pending, embedding_coverage
from backend.ml.encoder import get_encoder
from backend.ml.file_cache import build_cache
from backend.ml.vector_index import check_index, status
from backend.models import Movie
from backend.operations.behind import behind
from backend.operations.jobs import Work
from backend.operations.record import Counts

STALE_BEFORE = dt.timedelta(days=14)
"""So long before a film may no longer be shown it is fetched again."""


def ingest(settings: Settings) -> Counts:
    """Fetch films from TMDB, and embed them as they come. Raises JobSkippedError where there is no key."""
    if settings.tmdb_api_key is None:
        raise JobSkippedError("TMDB_API_KEY is not set.")
    with session_scope() as session:
        now, stale_after = dt.datetime.now(dt.UTC), _longest(settings) - STALE_BEFORE
        wanted = tonight(session, now=now, stale_after=stale_after, include_adult=settings.include_adult)
    return whole(*fetch_films(settings, wanted))


def fetch_films(settings: Settings, wanted: Wanted) -> tuple[LoadSummary, Counts]:
    """Fetch films, and embed them as they come; the file cache follows. Raises TmdbError."""
    from backend.catalog.pipeline import fetch_catalogue
    from backend.catalog.tmdb import TmdbClient, TmdbConfig

    embedded = 0

    def embed(stop: threading.Event) -> None:
        nonlocal embedded
        embedded += _embed(settings, stop)[0]

    with behind(embed) as ask, TmdbClient(TmdbConfig.from_settings(settings)) as client:
        summary = fetch_catalogue(client, wanted, on_stored=ask)
    with session_scope() as session:
        hidden = hide_stale(session, fetched_before=dt.datetime.now(dt.UTC) - _longest(settings))
    done = summary.upserted
    if done.new or done.changed or summary.gone or embedded or hidden:
        cache(settings)
    counts = {"new": done.new, "changed": done.changed, "unchanged": done.unchanged}
    troubles = {"failed": summary.failed, "gone": summary.gone, "faults": summary.faults.total()}
    return summary, counts | troubles | {"embedded": embedded}


def _longest(settings: Settings) -> dt.timedelta:
    return dt.timedelta(days=settings.tmdb_max_age_days)


def whole(summary: LoadSummary, counts: Counts) -> Counts:
    """The counts of a fetch that came to its end. Raises JobEndedEarlyError."""
    if summary.ended_by:
        raise JobEndedEarlyError(summary.ended_by.detail, counts=counts)
    return counts


def embeddings(settings: Settings) -> Counts:
    """Embed what is pending; the file cache follows."""
    from backend.ml.training import ensure_trained

    embedded, placed = _embed(settings)
    coverage = embedding_coverage(settings.embedding_model)
    trained = ensure_trained(settings) if coverage.with_embeddings else False
    if embedded or placed or trained:
        cache(settings)
    return {"embedded": embedded, "coverage_percentage": round(coverage.percentage, 1)}


def index(settings: Settings) -> Counts:
    """Measure what the vector index finds, and bring it to what the catalogue needs."""
    check_index(get_engine(), settings)
    with session_scope() as session:
        state = status(session)
    return {name: state[name] for name in ("kind", "lists", "probes", "ef_search", "recall_at_10")}


def train(settings: Settings) -> Counts:
    """Learn from what people did. Raises JobSkippedError where there is no film."""
    from backend.ml import training

    return training.train(settings)


def cache(settings: Settings) -> Counts:
    """Write the file cache, and lay films out on a map where a training has moved them."""
    from backend.ml.film_map import ensure_map

    counts = build_cache(settings)
    mapped = ensure_map(settings)
    return counts | {"mapped": mapped} if mapped else counts


JOB_WORK: dict[str, Work] = {
    "ingest": ingest,
    "embeddings": embeddings,
    "index": index,
    "train": train,
    "cache": cache,
}


def has_films_of_tmdb(session: Session) -> bool:
    """Whether anything has ever come from there."""
    return bool(session.scalar(select(exists().where(Movie.source == "tmdb"))))


def _embed(settings: Settings, stop: threading.Event | None = None) -> tuple[int, int]:
    """How many films were embedded, and how many given a place.

    The encoder costs seconds and 300 MB, and is left alone while nothing waits.
    """
    from backend.ml.training import place_arrivals

    model = settings.embedding_model
    embedded = embed_pending(get_encoder(model), stop=stop) if embedding_coverage(model).pending else 0
    return embedded, 0 if stop and stop.is_set() else place_arrivals(settings)
