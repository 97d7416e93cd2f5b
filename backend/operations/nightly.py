"""What each job does, and what it counts. What takes long to import, the job that needs it imports."""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from backend.catalog.summary import LoadSummary
from backend.config import Settings
from backend.database import get_engine, session_scope
from backend.errors import JobEndedEarlyError, JobSkippedError
from backend.ml.embeddings import embed_pending, embedding_coverage
from backend.ml.encoder import get_encoder
from backend.ml.file_cache import build_cache
from backend.ml.vector_index import check_index, status
from backend.models import Movie
from backend.operations.jobs import Work
from backend.operations.record import Counts


def ingest(settings: Settings) -> Counts:
    """Fetch films from TMDB, and embed them as they come. Raises JobSkippedError where there is no key."""
    if settings.tmdb_api_key is None:
        raise JobSkippedError("TMDB_API_KEY is not set.")
    return whole(*fetch_films(settings))


def fetch_films(settings: Settings, *, pages: int | None = None) -> tuple[LoadSummary, Counts]:
    """Fetch films, and embed them as they come; the file cache follows. With `pages`, of the curated lists only.

    Raises TmdbError.
    """
    from backend.catalog.pipeline import fetch_catalogue
    from backend.catalog.tmdb import TmdbClient, TmdbConfig

    embedded = 0

    def embed() -> None:
        nonlocal embedded
        embedded += _embed(settings)[0]

    with TmdbClient(TmdbConfig.from_settings(settings)) as client:
        summary = fetch_catalogue(client, pages=pages, on_batch=embed)
    embed()  # what an earlier run left
    done = summary.upserted
    if done.new or done.changed or embedded:
        cache(settings)
    counts = {"new": done.new, "changed": done.changed, "unchanged": done.unchanged}
    return summary, counts | {"failed": summary.failed, "embedded": embedded}


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
    """Write the file cache."""
    return build_cache(settings)


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


def _embed(settings: Settings) -> tuple[int, int]:
    """How many films were embedded, and how many given a place.

    The encoder costs seconds and 300 MB, and is left alone while nothing waits.
    """
    from backend.ml.training import place_arrivals

    model = settings.embedding_model
    embedded = embed_pending(get_encoder(model)) if embedding_coverage(model).pending else 0
    return embedded, place_arrivals(settings)
