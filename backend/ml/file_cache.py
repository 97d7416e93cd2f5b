"""The file cache under DATA_DIR/cache: everything that layer 2 answers from, written from the database."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from backend.config import Settings
from backend.database import SessionLocal, session_scope
from backend.errors import LayerUnavailableError
from backend.ml.artefact import Artefact, Watched, publishing
from backend.ml.cache_store import (
    changed_people,
    database_id,
    fingerprint,
    forget_old_changes,
    hold_still,
    next_unseen,
    stream_films,
    stream_people,
)
from backend.ml.film_table import FilmTable, write_films
from backend.ml.people_store import PEOPLE, PeopleFile, Person
from backend.ml.pgvector_recommender import vector_of
from backend.models import EMBEDDING_DIMENSION

log = structlog.get_logger()

VECTORS, KNOWN = "vectors.npy", "known.npy"
LIFE_SECONDS = 2 * 86_400
"""A cache older than this is written anew: the database keeps notes of changes for three days."""


def cache_folder(settings: Settings) -> Path:
    """Where the cache is."""
    return settings.data_dir / "cache"


@dataclass(frozen=True)
class FileCache:
    """The cache as a reader has it open."""

    films: FilmTable
    vectors: NDArray[np.float32]
    """Shape (films, 384), memory-mapped; zero where a film has none."""
    known: NDArray[np.bool_]
    """Which films have a vector."""
    people: PeopleFile
    tags: dict[str, Any]
    """What it was made from: see `cache_store.fingerprint`."""

    @classmethod
    def open(cls, artefact: Artefact, *, model: str) -> "FileCache":
        """Raises LayerUnavailableError where it was made by another model."""
        made_by = artefact.tags["model"]
        if made_by != model:
            raise LayerUnavailableError(f"{artefact.folder} holds embeddings of {made_by}, not of {model}")
        return cls(
            FilmTable.open(artefact),
            artefact.array(VECTORS),
            artefact.array(KNOWN),
            PeopleFile(artefact.folder / PEOPLE),
            artefact.tags,
        )


def build_cache(settings: Settings) -> dict[str, int]:
    """Write the cache anew from the database; readers go on with the old one until this one is whole."""
    with publishing(cache_folder(settings)) as draft, SessionLocal() as session:
        hold_still(session)
        draft.tags |= fingerprint(session, model=settings.embedding_model) | {"made_at": time.time()}
        seen = next_unseen(session)
        vectors = np.lib.format.open_memmap(
            draft.folder / VECTORS, "w+", np.float32, (draft.tags["movies"], EMBEDDING_DIMENSION)
        )
        films = stream_films(session, model=settings.embedding_model)
        ids = write_films(_keeping_vectors(films, vectors), draft)
        np.save(draft.folder / KNOWN, vectors.any(axis=1))
        vectors.flush()
        draft.living.add(PEOPLE)
        people = PeopleFile.create(draft.folder / PEOPLE, stream_people(session), seen=seen)
    with session_scope() as session:
        forget_old_changes(session)
    log.info("file_cache_written", films=len(ids), people=people)
    return {"films": len(ids), "people": people}


class CacheKeeper:
    """Keeps the cache whole and its people fresh; one a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        open_cache = partial(FileCache.open, model=settings.embedding_model)
        self._watched = Watched("file_cache", cache_folder(settings), open_cache)

    def ensure(self) -> bool:
        """Write the cache anew unless it holds what the database holds; whether that was needed."""
        with SessionLocal() as session:
            now = fingerprint(session, model=self._settings.embedding_model)
        cache = self._find()
        if cache is not None and all(cache.tags.get(name) == value for name, value in now.items()):
            return self.follow() is None
        build_cache(self._settings)
        return True

    def follow(self) -> int | None:
        """Bring what the cache knows of people up to date: how many had changed.

        None where the whole cache had to be written anew: missing, damaged, of another model or another database.
        """
        cache = self._find()
        with suppress(LayerUnavailableError):
            if cache is not None and (changes := self._changes(cache)) is not None:
                changed, seen = changes
                return cache.people.update(changed, seen=seen) if changed else 0
        build_cache(self._settings)
        return None

    def _find(self) -> FileCache | None:
        self._watched.refresh()
        with suppress(LayerUnavailableError):
            return self._watched.get()
        return None

    def _changes(self, cache: FileCache) -> tuple[list[Person], int] | None:
        """Who changed, and from where to look the next time; None where that can't be told any more."""
        with SessionLocal() as session:
            hold_still(session)
            seen = next_unseen(session)
            is_ours = database_id(session) == cache.tags["database"]
            # A restored database counts its transactions anew; and notes of changes are not kept for ever.
            if not is_ours or seen < cache.people.seen or time.time() - cache.tags["made_at"] > LIFE_SECONDS:
                return None
            return changed_people(session, since=cache.people.seen), seen


def _keeping_vectors(
    films: Iterator[Mapping[str, Any]], vectors: NDArray[np.float32]
) -> Iterator[Mapping[str, Any]]:
    for index, film in enumerate(films):
        vectors[index] = vector_of(film["vector"])
        yield film
