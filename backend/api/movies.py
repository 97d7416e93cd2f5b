"""Films: browse, one in detail, the genres, and search."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from backend.api.deps import (
    AskDatabase,
    CurrentIds,
    CurrentSettings,
    CurrentWords,
    MoviePath,
    ReadSession,
    Recommender,
)
from backend.api.inputs import BrowseQuery, SearchQuery
from backend.api.parameters import DocumentedRoute, FromQuery
from backend.api.render import JSONBytes, movie_row, pages, ranked_list
from backend.api.schemas import GenreCount, MovieDetail, MoviePage, RankedList
from backend.catalog.records import GENRE_IDS
from backend.catalog.store import genre_counts

router = APIRouter(tags=["films"], route_class=DocumentedRoute)


@router.get("/movies", response_model=MoviePage, summary="Browse the catalogue, the popular and good first")
def list_movies(
    query: Annotated[BrowseQuery, Depends(FromQuery(BrowseQuery))], recommender: Recommender
) -> Response:
    rows, total = recommender.browse(query.filters(), limit=query.n, offset=(query.page - 1) * query.n)
    body = {"results": [movie_row(row) for row in rows], "page": query.page}
    return JSONBytes(body | {"total_results": total, "total_pages": pages(total, query.n)})


@router.get("/movies/{movie_id}", response_model=MovieDetail, summary="All that is known of a film")
def show_movie(movie_id: MoviePath, recommender: Recommender) -> Response:
    return JSONBytes(movie_row(recommender.detail(movie_id)))


@router.get(
    "/genres",
    response_model=list[GenreCount],
    dependencies=[AskDatabase],
    summary="The genres and how many films each has",
)
def list_genres(session: ReadSession, settings: CurrentSettings) -> Response:
    counts = genre_counts(session, include_adult=settings.include_adult)
    return JSONBytes([{"id": GENRE_IDS.get(name), "name": name, "movies": movies} for name, movies in counts])


@router.get("/search", response_model=RankedList, summary="Search by title and by meaning together")
def search(
    query: Annotated[SearchQuery, Depends(FromQuery(SearchQuery))],
    recommender: Recommender,
    words: CurrentWords,
    ids: CurrentIds,
) -> Response:
    meaning = words.find_meaning(query.q)
    answer = recommender.search(query.q, query.request(), meaning=meaning)
    # Until the encoder is loaded only titles are searched: said, not hidden.
    return ranked_list("search", answer, query.request(), ids=ids, degraded=meaning is None)
