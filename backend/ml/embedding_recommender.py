"""Layer 2: the file cache answers, with the numbers that layer 1 answers from."""

from typing import ClassVar

from backend.ml.answer import Source
from backend.ml.array_recommender import ArrayRecommender, Space
from backend.ml.file_cache import FileCache


class EmbeddingRecommender(ArrayRecommender):
    """Films by their embeddings and item factors; the database is not asked."""

    source: ClassVar[Source] = "file_cache"
    understands_words = True

    def __init__(self, cache: FileCache, *, include_adult: bool = False) -> None:
        # Embeddings have length 1, so a film's place and its direction are the same.
        space = Space(
            factors=cache.factors, units=cache.vectors, embedded=cache.known, made_by=cache.tags["model"]
        )
        super().__init__(cache.films, cache.people, space, version=cache.version, include_adult=include_adult)
