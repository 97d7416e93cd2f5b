"""Pending films to vectors: claim, encode, store, until none waits."""

from typing import Any

from tqdm import tqdm

from backend.catalog.store import Coverage, PendingText, claim_pending, coverage, save_embeddings
from backend.database import session_scope
from backend.ml.encoder import Encoder

CLAIM = 128
"""Films locked at once: a second of work, which is what an interrupt costs."""


def embed_pending(encoder: Encoder) -> int:
    """Encode whatever waits, with a progress bar; the number of films that this process encoded.

    Run by several processes at once, each film is encoded by one of them.
    """
    model = encoder.config.model
    waiting = embedding_coverage(model).pending
    done = 0
    bar: tqdm[Any]
    with tqdm(
        total=waiting, desc="embedding", unit=" films", leave=None, disable=None if waiting else True
    ) as bar:
        while encoded := _one_pass(encoder, bar):
            done += encoded
    return done


def embedding_coverage(model: str) -> Coverage:
    """How much of the catalogue has a vector of this model."""
    with session_scope() as session:
        return coverage(session, model=model)


def _one_pass(encoder: Encoder, bar: "tqdm[Any]") -> int:
    """From the best-known film down; films changed meanwhile are left to the next pass."""
    done, last = 0, None
    while batch := _embed_batch(encoder, last):
        done, last = done + len(batch), batch[-1]
        bar.update(len(batch))
    return done


def _embed_batch(encoder: Encoder, last: PendingText | None) -> list[PendingText]:
    model = encoder.config.model
    with session_scope() as session:
        batch = claim_pending(session, model=model, limit=CLAIM, after=last)
        if batch:
            vectors = encoder.encode([film.text for film in batch])
            save_embeddings(session, [film.id for film in batch], vectors, model=model)
    return batch
