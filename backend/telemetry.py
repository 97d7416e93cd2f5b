"""Set-up of logging, and the metrics that `/metrics` shows."""

import logging
import math
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from backend.config import Settings

REQUESTS = Counter("marquee_requests_total", "HTTP requests answered", ["route", "method", "status"])
LATENCY = Histogram(
    "marquee_request_seconds",
    "Time from request to answer",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ANSWERS = Counter("marquee_answers_total", "Lists answered, by the layer that answered", ["kind", "source"])
CACHE_HITS = Counter("marquee_response_cache_hits_total", "Lists of similar films answered from those kept")
CACHE_MISSES = Counter("marquee_response_cache_misses_total", "Lists of similar films that were not kept yet")
LAYER_UP = Gauge("marquee_layer_up", "1 while a layer can answer", ["layer"])
RESTARTS = Counter("marquee_postgres_restarts_total", "Times the embedded PostgreSQL was brought back")
INGEST = {
    "stored": Gauge("marquee_ingest_films_stored", "Films stored by the last fetch from TMDB"),
    "failed": Gauge("marquee_ingest_films_failed", "Films that the last fetch from TMDB did not bring"),
    "left": Gauge("marquee_ingest_films_left", "Films that are still to be fetched from TMDB"),
    "films_a_second": Gauge(
        "marquee_ingest_films_per_second", "Films stored a second by the last fetch from TMDB"
    ),
}
"""By the name that progress has for it."""


STACKS = {"exception", "traceback"}
"""Where an event has the stack of an exception, with its message."""
ROW = re.compile(r"\b(DETAIL|CONTEXT): .*")


def show_ingest(progress: Mapping[str, Any] | None) -> None:
    """Let the metrics tell how far a fetch from TMDB is; not a number where that is not known."""
    for name, gauge in INGEST.items():
        gauge.set(progress[name] if progress else math.nan)


BREAKER_OPEN = Gauge("marquee_breaker_open", "1 while the database is left alone because it kept failing")
POOL_IN_USE = Gauge("marquee_pool_connections_in_use", "Connections to the database that somebody is using")
POOL_SIZE = Gauge("marquee_pool_connections_limit", "Connections to the database that the process may hold")
RECALL = Gauge("marquee_index_recall_at_10", "Recall@10 of the vector index in force, as last measured")
COVERAGE = Gauge("marquee_embedding_coverage_ratio", "Share of the films that have a current embedding")
JOB_AGE = Gauge("marquee_job_last_success_age_seconds", "Seconds since a job last succeeded", ["job"])


def show_pool(in_use: int, *, limit: int) -> None:
    """Let the metrics tell how busy the connections are."""
    POOL_IN_USE.set(in_use)
    POOL_SIZE.set(limit)


def show_catalogue(*, recall: float | None, coverage: float | None) -> None:
    """Let the metrics tell what searches can find; not a number where that is not known."""
    RECALL.set(math.nan if recall is None else recall)
    COVERAGE.set(math.nan if coverage is None else coverage)


def show_jobs(ages: Mapping[str, float | None]) -> None:
    """Let the metrics tell how long ago each job succeeded; not a number for one that never did."""
    for job, age in ages.items():
        JOB_AGE.labels(job).set(math.nan if age is None else age)


def configure_logging(settings: Settings) -> None:
    """One line an event on standard error, libraries' too: coloured for a terminal, JSON for a machine."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    chain = processors(is_json=settings.log_format == "json")
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # By its name each time: what stands for it now may be closed when the next line comes.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*chain[:-1], structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, chain[-1]],
    )
    _let_libraries_speak(formatter)


def processors(*, is_json: bool) -> list[structlog.typing.Processor]:
    """What makes a line of an event, one after the other."""
    plain = structlog.dev.plain_traceback
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_rows,
        structlog.processors.JSONRenderer() if is_json else console,
    ]


def _without_rows(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Of a row that it refused, the database tells all: people and what they did are nobody's business here."""
    for name in STACKS & event.keys():
        event[name] = ROW.sub(r"\1: (left out)", str(event[name]))
    return event


def _let_libraries_speak(formatter: logging.Formatter) -> None:
    """Of those that speak through the standard library, only what needs attention is let through."""
    # But for connections that died with their server, each with a stack: of that the layers tell, in one line.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    logging.captureWarnings(True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    threading.excepthook = _tell_of_thread


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    """What a thread died of, as a line like any other."""
    if isinstance(ended.exc_value, SystemExit):
        return
    name = ended.thread.name if ended.thread else None
    structlog.get_logger().error("thread_died", thread=name, exc_info=ended.exc_value)
