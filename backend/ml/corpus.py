"""Taste from elsewhere: the pack that is shipped, or one learned from a corpus whose people never become users."""

from array import array
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.catalog.filters import MovieRef
from backend.config import Settings
from backend.errors import JobSkippedError
from backend.feedback.imports import read_movielens
from backend.feedback.reading import ImportSummary
from backend.feedback.weights import RATING_EVIDENCE, between
from backend.ml.artefact import CURRENT, open_current, publishing
from backend.ml.fold_in import support_of
from backend.ml.gathering import Gathered, gather_films
from backend.ml.taste_pack import LEAST_SUPPORT, TastePack, learn_pack, read_pack, write_pack

log = structlog.get_logger()

PACKS = Path(__file__).parent / "packs"
"""What is shipped, each in a folder with the terms it is under."""
OWN_TERMS = "Learned here from a corpus of the operator's own choice; the terms of that corpus apply.\n"


def corpus_folder(settings: Settings) -> Path:
    """Where a pack learned here is published; it takes the place of the one that is shipped."""
    return settings.data_dir / "corpus"


def find_pack(settings: Settings) -> TastePack | None:
    """The pack to learn beside: the operator's corpus, or else the one that is chosen by TASTE_PACK."""
    if _pointer(settings).exists():
        return read_pack(open_current(corpus_folder(settings)).folder)
    return None if settings.taste_pack == "none" else read_pack(PACKS / settings.taste_pack)


def taste_from(settings: Settings) -> str:
    """Whose taste is learned beside: a name that is another when it changes."""
    own = _pointer(settings)
    return f"corpus {own.read_text('ascii').strip()}" if own.exists() else settings.taste_pack


def say_which(settings: Settings) -> None:
    """One line on whose taste the recommendations start from, and for whom it is not."""
    if _pointer(settings).exists():
        log.info("taste_corpus", folder=str(corpus_folder(settings)), note="learned here; its own terms apply")
    elif settings.taste_pack != "none":
        note = "learned from MovieLens; not for commercial use: set TASTE_PACK=none"
        log.info("taste_pack", pack=settings.taste_pack, note=note)


def adopt_corpus(settings: Settings, movielens: Path) -> int:
    """Learn a pack from a MovieLens folder, and keep it for every training to come; from how many ratings.

    Raises UsageError where the folder is no such folder, JobSkippedError where it has nothing on the catalogue.
    """
    gathered = gather_films(settings)
    crowd = _crowd(movielens, gathered)
    if support_of(crowd).max(initial=0) < LEAST_SUPPORT:
        raise JobSkippedError(f"{movielens} rates no film of the catalogue, or none that two people rated.")
    pack = learn_pack(gathered.ids, crowd, films=gathered.films, embeddings=gathered.embeddings)
    with publishing(corpus_folder(settings)) as draft:
        write_pack(pack, draft.folder, terms=OWN_TERMS)
    log.info("corpus_adopted", people=pack.people, films=len(pack.film_ids), ratings=int(crowd.nnz))
    return int(crowd.nnz)


def _pointer(settings: Settings) -> Path:
    return corpus_folder(settings) / CURRENT


def _crowd(movielens: Path, gathered: Gathered) -> csr_array:
    """Shape (people, films): compact while it is read, for a corpus may have tens of millions of rows."""
    places = _by_name(gathered)
    numbers: dict[str, int] = {}
    people, films, values = array("i"), array("i"), array("f")
    for rating in read_movielens(movielens, ImportSummary()):
        place = places.get(rating.tmdb_id if rating.tmdb_id is not None else rating.imdb_id)
        if place is not None and rating.value is not None:
            people.append(numbers.setdefault(rating.user_id, len(numbers)))
            films.append(place)
            values.append(rating.value)
    return _matrix(np.array(people), np.array(films), np.array(values), shape=(len(numbers), len(gathered.ids)))


def _by_name(gathered: Gathered) -> dict[MovieRef | None, int]:
    places: dict[MovieRef | None, int] = {film["imdb_id"]: i for i, film in enumerate(gathered.films)}
    places |= {int(film_id): place for place, film_id in enumerate(gathered.ids)}
    places.pop(None, None)
    return places


def _matrix(
    people: NDArray[np.int32], films: NDArray[np.int32], values: NDArray[np.float32], *, shape: tuple[int, int]
) -> csr_array:
    """Two numbers of MovieLens may be one film: of one person's ratings of it the last in the file counts."""
    keys = people.astype(np.int64) * shape[1] + films
    _, last = np.unique(keys[::-1], return_index=True)
    kept = len(keys) - 1 - last
    weights = between(RATING_EVIDENCE, values[kept]).astype(np.float32)
    matrix = csr_array((weights, (people[kept], films[kept])), shape=shape)
    matrix.eliminate_zeros()
    return matrix
