"""The last resort: well-known films, with neither database nor files."""

from dataclasses import asdict, replace
from functools import lru_cache
from typing import ClassVar

from backend.catalog.filters import MovieRef
from backend.catalog.records import parse_record
from backend.catalog.sources import read_starter
from backend.ml.answer import NOT_SEEN, Answer, Request, Source
from backend.ml.array_recommender import ArrayRecommender, Space
from backend.ml.film_table import FilmTable, quality
from backend.ml.item_factors import nowhere_to_be_found
from backend.ml.people_store import PeopleFile


class PopularRecommender(ArrayRecommender):
    """The same popular films for everyone, but for what they had as far as that is known."""

    source: ClassVar[Source] = "popular"

    def __init__(self, films: FilmTable, people: PeopleFile | None = None, *, include_adult: bool = False) -> None:
        nowhere = nowhere_to_be_found(len(films))
        space = Space(factors=nowhere, units=nowhere.s, embedded=nowhere.known, made_by="popular")
        super().__init__(films, people, space, version="popular", include_adult=include_adult)

    def similar(
        self,
        ref: MovieRef,
        request: Request,
        *,
        user_id: str | None = None,
        not_counting: tuple[str, ...] = NOT_SEEN,
    ) -> Answer:
        """Popular films that share a genre; of a film that is not among these, nothing is known."""
        if self.films.find(ref) is None:
            answer = self._popular(self._allowed(request.filters, None, not_counting=()), request)
            if request.explain:
                for row in answer.rows:
                    row["why"] = [{"kind": "popular"}]
            return replace(answer, cold_start=False)
        return super().similar(ref, request, user_id=user_id, not_counting=not_counting)


@lru_cache(maxsize=1)
def bundled_films() -> FilmTable:
    """The starter catalogue; reading it takes a moment."""
    films = sorted((parse_record(raw) for _, raw in read_starter()), key=lambda film: film.id)
    return FilmTable.of(
        asdict(film) | {"hidden": False, "quality": quality(film.vote_average, film.vote_count)} for film in films
    )
