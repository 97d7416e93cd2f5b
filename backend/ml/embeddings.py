"""Pending films to vectors: claim, encode, store, until none waits."""

import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session
from tqdm import tqdm

from backend.catalog.store import Coverage, PendingText, claim_pending, coverage, save_embeddings
from backend.database import session_scope
from backend.ml.encoder import Encoder

CLAIM = 128
"""Films locked at once: a second of work, which is what an interrupt costs."""


def embed_pending(encoder: Encoder, *, stop: threading.Event | None = None) -> int:
    """Encode whatever waits, with a progress bar; the number of films that this process encoded.

    Run by several processes at once, each film is encoded by one of them. It ends within a second of `stop`.
    """
    model = encoder.config.model
    waiting = embedding_coverage(model).pending
    done = 0
    bar: tqdm[Any]
    with tqdm(
        total=waiting, desc="embedding", unit=" films", leave=None, disable=None if waiting else True
    ) as bar:
        while encoded := _one_pass(encoder, bar, stop or threading.Event()):
            done += encoded
    return done


def embed_films(session: Session, encoder: Encoder, ids: Sequence[int]) -> int:
    """Encode those of these films that wait and that no other process has; how many."""
    batch = claim_pending(session, model=encoder.config.model, limit=len(ids), among=ids)
    _embed(session, encoder, batch)
    return len(batch)


def embedding_coverage(model: str) -> Coverage:
    """How much of the catalogue has a vector of this model."""
    with session_scope() as session:
        return coverage(session, model=model)


def _one_pass(encoder: Encoder, bar: "tqdm[Any]", stop: threading.Event) -> int:
    """From the best-known film down; films changed meanwhile are left to the next pass."""
    done, last = 0, None
    while not stop.is_set() and (batch := _embed_batch(encoder, last)):
        done, last = done + len(batch), batch[-1]
        bar.update(len(batch))
    return done


def _embed_batch(encoder: Encoder, last: PendingText | None) -> list[PendingText]:
    with session_scope() as session:
        batch = claim_pending(session, model=encoder.config.model, limit=CLAIM, after=last)
        _embed(session, encoder, batch)
    return batch


def _embed(session: Session, encoder: Encoder, batch: Sequence[PendingText]) -> None:
    if batch:
        vectors = encoder.encode([film.text for film in batch])
        save_embeddings(session, [film.id for film in batch], vectors, model=encoder.config.model)
