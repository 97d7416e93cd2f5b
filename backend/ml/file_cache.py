"""The file cache under DATA_DIR/cache: everything that layer 2 answers from, written from the database."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.database import SessionLocal, session_scope
from backend.errors import LayerUnavailableError
from backend.ml.artefact import Artefact, Draft, Opened, Watched, publishing
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
from backend.ml.item_factors import FILES, ItemFactors, nowhere_to_be_found
from backend.ml.people_store import PEOPLE, PeopleFile, write_people
from backend.ml.pgvector_recommender import vector_of
from backend.ml.svd_recommender import SVDModel, models_folder
from backend.ml.taste_store import StoredFactors, find_active
from backend.models import EMBEDDING_DIMENSION

log = structlog.get_logger()

VECTORS, KNOWN = "vectors.npy", "embedded.npy"
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
    factors: ItemFactors
    """Those in force when the cache was written; nothing is known before the first training."""
    people: PeopleFile
    tags: dict[str, Any]
    """What it was made from: see `cache_store.fingerprint`."""

    @property
    def version(self) -> str:
        """Of the factors, or else of the embeddings."""
        return str(self.tags["taste"] or self.tags["model"])

    @classmethod
    def open(cls, artefact: Artefact, *, model: str) -> "FileCache":
        """Raises LayerUnavailableError where it was made by another model."""
        made_by = artefact.tags.get("model")
        if made_by != model:
            raise LayerUnavailableError(f"{artefact.folder} holds embeddings of {made_by}, not of {model}")
        return cls(
            FilmTable.open(artefact),
            artefact.array(VECTORS),
            np.array(artefact.array(KNOWN)),
            ItemFactors.open(artefact),
            PeopleFile(artefact.folder / PEOPLE),
            artefact.tags,
        )


def build_cache(settings: Settings) -> dict[str, int]:
    """Write the cache anew from the database; readers go on with the old one until this one is whole."""
    with publishing(cache_folder(settings)) as draft, SessionLocal() as session:
        hold_still(session)
        draft.tags |= fingerprint(session, model=settings.embedding_model) | {"made_at": time.time()}
        seen = next_unseen(session)
        films = stream_films(session, model=settings.embedding_model)
        known: list[bool] = []
        with (draft.folder / VECTORS).open("wb") as file:
            _write_header(file, rows=draft.tags["movies"], width=EMBEDDING_DIMENSION)
            ids = write_films(_keeping_vectors(films, file, known), draft)
        np.save(draft.folder / KNOWN, np.array(known, dtype=bool))
        _write_factors(session, draft)
        people = write_people(stream_people(session), draft, seen=seen)
    with session_scope() as session:
        forget_old_changes(session)
    log.info("file_cache_written", films=len(ids), people=people)
    return {"films": len(ids), "people": people}


class CacheKeeper:
    """Keeps the cache whole, and people fresh in cache and model; one a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        open_cache = partial(FileCache.open, model=settings.embedding_model)
        self._cache = Watched("file_cache", cache_folder(settings), open_cache)
        self._model = Watched("svd", models_folder(settings), SVDModel.open)
        self._basis: dict[str, _Basis] = {}

    def ensure(self) -> bool:
        """Write the cache anew unless it holds what the database holds; whether that was needed."""
        with SessionLocal() as session:
            now = fingerprint(session, model=self._settings.embedding_model)
        cache = _find(self._cache)
        if cache is not None and all(cache.tags.get(name) == value for name, value in now.items()):
            return self.follow() is None
        build_cache(self._settings)
        return True

    def follow(self) -> int | None:
        """Bring what the files know of people up to date: how many had changed in the cache.

        None where the whole cache had to be written anew: missing, damaged, of another model, other factors or
        another database.
        """
        with suppress(LayerUnavailableError):
            if model := _find(self._model):
                self._follow_model(model)
        with suppress(LayerUnavailableError):
            cache = _find(self._cache)
            changed = None if cache is None else _follow(cache, _Basis.of(cache.tags))
            if changed is not None:
                return changed
        build_cache(self._settings)
        return None

    def _follow_model(self, model: SVDModel) -> None:
        """A model may outlive the notes of changes: everyone is written anew then, but for those who are gone."""
        if _follow(model, self._basis.get(model.version) or _Basis.of(model.tags)) is not None:
            return
        with SessionLocal() as session:
            hold_still(session)
            basis, seen = _Basis(database_id(session), time.time()), next_unseen(session)
            model.people.replace(stream_people(session), seen=seen)
        self._basis = {model.version: basis}


@dataclass(frozen=True)
class _Basis:
    """Of which database, and of when, people in a file were when all of them were written."""

    database: str
    made_at: float

    @classmethod
    def of(cls, tags: Mapping[str, Any]) -> "_Basis":
        return cls(tags["database"], tags["made_at"])


def _find(watched: Watched[Opened]) -> Opened | None:
    watched.refresh()
    with suppress(LayerUnavailableError):
        return watched.get()
    return None


def _follow(files: FileCache | SVDModel, basis: _Basis) -> int | None:
    """Write the people who changed; how many. None where that can't be told any more, or are too many."""
    since = files.people.seen
    with SessionLocal() as session:
        hold_still(session)
        seen = next_unseen(session)
        is_ours = database_id(session) == basis.database
        if isinstance(files, FileCache) and find_active(session) != files.tags["taste"]:
            return None
        # A restored database counts its transactions anew; and notes of changes are not kept for ever.
        if not is_ours or seen < since or time.time() - basis.made_at > LIFE_SECONDS:
            return None
        changed = changed_people(session, since=since)
    if changed is None:
        return None
    return files.people.update(changed, seen=seen) if changed else 0


def _write_factors(session: Session, draft: Draft) -> None:
    films, version = draft.tags["movies"], draft.tags["taste"]
    if version is None:
        nowhere_to_be_found(films).write(draft)
        return
    stored = StoredFactors(session, version)
    np.save(draft.folder / FILES["start"], stored.start())
    known = np.zeros(films, dtype=bool)
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        nowhere: dict[str, bytes] = {}
        for part, width in stored.widths().items():
            files[part] = stack.enter_context((draft.folder / FILES[part]).open("wb"))
            nowhere[part] = bytes(4 * width)
            _write_header(files[part], rows=films, width=width)
        for film, place in enumerate(stored.stream()):
            known[film] = place is not None
            for part, file in files.items():
                file.write(nowhere[part] if place is None else place[part].tobytes())
    np.save(draft.folder / FILES["known"], known)


def _write_header(file: BinaryIO, *, rows: int, width: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(file, header)


def _keeping_vectors(
    films: Iterator[Mapping[str, Any]], file: BinaryIO, known: list[bool]
) -> Iterator[Mapping[str, Any]]:
    # Written, not mapped: on a full disk a write fails in order, a mapped one ends the process (SIGBUS).
    for film in films:
        vector = vector_of(film["vector"])
        file.write(vector.tobytes())
        known.append(bool(vector.any()))
        yield film
