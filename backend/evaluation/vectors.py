"""The embeddings of films without a database, kept on disk."""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from backend.catalog.records import MovieRecord
from backend.config import PACKAGED_MODEL
from backend.ml.encoder import get_encoder

BATCH = 1024
"""Texts handed over at once; sorted by length among them, they are padded little."""


def embeddings_of(films: Sequence[MovieRecord], *, cache: Path) -> NDArray[np.float32]:
    """The packaged model's vectors of films, shape (films, 384); made once for the same texts."""
    texts = [embedding_text(film) for film in films]
    path = cache / f"{sha256(orjson.dumps([PACKAGED_MODEL, texts])).hexdigest()[:32]}.npy"
    if path.exists():
        kept: NDArray[np.float32] = np.load(path)
        return kept
    encoder = get_encoder(PACKAGED_MODEL)
    vectors = np.concatenate([encoder.encode(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)])
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.save(file, vectors)
    unfinished.replace(path)
    return vectors


def embedding_text(film: MovieRecord) -> str:
    """What is embedded of a film: as the SQL function `embedding_text`, which is where it is defined."""
    facts = [
        ", ".join(film.directors),
        ", ".join(film.actors),
        str(film.release_year or ""),
        ", ".join(film.keywords),
    ]
    about = (film.overview or "").strip(" ") or ", ".join(fact for fact in facts if fact)
    return f"{film.title} | {about} | {', '.join(film.genres)}"
