"""Set-up of logging, and the metrics that `/metrics` shows."""

import logging
import math
import sys
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


def show_ingest(progress: Mapping[str, Any] | None) -> None:
    """Let the metrics tell how far a fetch from TMDB is; not a number where that is not known."""
    for name, gauge in INGEST.items():
        gauge.set(progress[name] if progress else math.nan)


def configure_logging(settings: Settings) -> None:
    """One line an event on standard error: coloured for a terminal, JSON for a machine."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries speak through the standard library; only what needs attention is let through.
    # But for connections that died with their server, each with a stack: of that the layers tell, in one line.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
