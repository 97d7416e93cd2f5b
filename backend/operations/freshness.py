"""Films embedded anew as soon as their text changes, whoever changed it: by the service, which has an encoder."""

import threading
from collections.abc import Callable

import structlog

from backend.catalog.store import find_changed_texts
from backend.config import Settings
from backend.database import session_scope
from backend.errors import AppError
from backend.ml.embeddings import embed_films
from backend.ml.encoder import get_encoder
from backend.ml.training import place_arrivals
from backend.operations.changes import GONE
from backend.operations.jobs import request_job

log = structlog.get_logger()

SETTLE_SECONDS = 0.5
"""What is changed together is embedded together."""
LOOK_SECONDS = 1.0
"""How often a thread that has nothing to do asks whether it is to end."""
MOST_FILMS = 500
"""More is work for the scheduler."""
AT_ONCE = 16
"""A tenth of a second's work: a search that wants the encoder meanwhile waits no longer."""
TROUBLE = (*GONE, AppError)


def keep_fresh(
    settings: Settings, is_loaded: Callable[[], bool], changed: threading.Event, stop: threading.Event
) -> None:
    """Embed what changed soon after it did, from when the encoder is loaded until `stop` is set; for a thread.

    What fails is tried again at the next change; a database that is back counts as one.
    """
    while not is_loaded():
        if stop.wait(LOOK_SECONDS):
            return
    works = True
    while not stop.is_set():
        if not changed.wait(LOOK_SECONDS) or stop.wait(SETTLE_SECONDS):
            continue
        changed.clear()
        try:
            embed_changed(settings)
        except TROUBLE as error:
            if works:
                log.warning("changed_films_not_embedded", reason=type(error).__name__)
            works = False
        else:
            works = True


def embed_changed(settings: Settings) -> int:
    """Embed the films whose text changed, and give new ones a place; how many.

    Where they are many, the scheduler is asked to.
    """
    with session_scope() as session:
        waiting = find_changed_texts(session, limit=MOST_FILMS + 1)
        if len(waiting) > MOST_FILMS:
            request_job(session, "embeddings")
            return 0
    films = list(waiting)
    embedded = sum(_embed(settings, films[i : i + AT_ONCE]) for i in range(0, len(films), AT_ONCE))
    if embedded and any(waiting.values()) and place_arrivals(settings):
        with session_scope() as session:
            request_job(session, "cache")
    return embedded


def _embed(settings: Settings, films: list[int]) -> int:
    """With the wish for a new file cache in one transaction, so that it is never forgotten."""
    with session_scope() as session:
        embedded = embed_films(session, get_encoder(settings.embedding_model), films)
        if embedded:
            request_job(session, "cache")
    return embedded
