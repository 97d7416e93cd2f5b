"""A small catalogue of well-known films, embedded by the real model, for tests that want answers."""

from functools import lru_cache

from sqlalchemy.orm import Session

from backend.catalog.records import MovieRecord, parse_record
from backend.catalog.sources import read_starter
from backend.catalog.store import claim_pending, save_embeddings, upsert
from backend.ml.encoder import Encoder

TOY_STORY, TOY_STORY_2, TOY_STORY_3 = 862, 863, 10193
MATRIX, DARK_KNIGHT, GODFATHER = 603, 155, 238
FRANCHISES = {TOY_STORY, TOY_STORY_2, TOY_STORY_3, MATRIX, 604, 605, DARK_KNIGHT, 49026, GODFATHER, 240}
SIZE = 150
"""More than one block of maximal marginal relevance."""


@lru_cache
def small_catalogue() -> tuple[MovieRecord, ...]:
    """The best-known films of the starter catalogue, with some franchises whole."""
    films = sorted((parse_record(raw) for _, raw in read_starter()), key=lambda film: -film.vote_count)
    chosen = [film for film in films if film.id in FRANCHISES]
    chosen += [film for film in films if film.id not in FRANCHISES][: SIZE - len(chosen)]
    return tuple(chosen)


def fill(session: Session, encoder: Encoder) -> None:
    """Put the small catalogue into a database, embedded."""
    upsert(session, small_catalogue(), source="starter")
    model = encoder.config.model
    films = claim_pending(session, model=model, limit=SIZE)
    vectors = encoder.encode([film.text for film in films])
    save_embeddings(session, [film.id for film in films], vectors, model=model)
