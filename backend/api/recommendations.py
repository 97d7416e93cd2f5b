"""What is like a film, and what a person may like."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from backend.api.cached_answers import CurrentMemory
from backend.api.deps import CurrentIds, CurrentWords, MoviePath, PersonPath, Recommender
from backend.api.inputs import PersonQuery, RecommendationBody, RecommendationQuery, SimilarQuery, WhyQuery
from backend.api.parameters import DocumentedRoute, FromQuery
from backend.api.render import JSONBytes, RecommendationIds, ranked_list
from backend.api.schemas import RankedList, WhyAnswer
from backend.ml.recommender import Recommender as LayeredRecommender

router = APIRouter(tags=["recommendations"], route_class=DocumentedRoute)


@router.get("/similar/{movie_id}", response_model=RankedList, summary="Films like this one")
def similar(
    movie_id: MoviePath,
    query: Annotated[SimilarQuery, Depends(FromQuery(SimilarQuery))],
    recommender: Recommender,
    ids: CurrentIds,
    memory: CurrentMemory,
) -> Response:
    request = query.request()
    answer = recommender.similar(movie_id, request, user_id=query.user_id)
    made = ranked_list("similar", answer, request, ids=ids)
    if query.user_id is None and not answer.degraded:
        memory.keep(made)
    return made


@router.get("/recommendations/{user_id}", response_model=RankedList, summary="What a person may like")
def recommendations(
    user_id: PersonPath,
    query: Annotated[RecommendationQuery, Depends(FromQuery(RecommendationQuery))],
    recommender: Recommender,
    ids: CurrentIds,
) -> Response:
    return _recommend(user_id, query, recommender, ids)


@router.get(
    "/recommendations/{user_id}/why/{movie_id}", response_model=WhyAnswer, summary="Why a film is there, or is not"
)
def why(
    user_id: PersonPath,
    movie_id: MoviePath,
    query: Annotated[WhyQuery, Depends(FromQuery(WhyQuery))],
    recommender: Recommender,
) -> Response:
    verdict = recommender.why(user_id, movie_id, query.request())
    return JSONBytes(asdict(verdict) | {"behind": verdict.behind})


@router.get("/recommendations", response_model=RankedList, summary="The same, the person as a parameter")
def recommendations_by_query(
    query: Annotated[PersonQuery, Depends(FromQuery(PersonQuery))], recommender: Recommender, ids: CurrentIds
) -> Response:
    return _recommend(query.user_id, query, recommender, ids)


@router.post("/recommendations", response_model=RankedList, summary="For someone without an account")
def recommendations_for(
    body: RecommendationBody, recommender: Recommender, words: CurrentWords, ids: CurrentIds
) -> Response:
    request = body.request()
    meaning = words.get_meaning(body.query) if body.query else None
    answer, unknown = recommender.recommend_for(request, liked=body.liked, disliked=body.disliked, meaning=meaning)
    return ranked_list("recommendations", answer, request, ids=ids, unknown=unknown)


def _recommend(
    user_id: str, query: RecommendationQuery, recommender: LayeredRecommender, ids: RecommendationIds
) -> Response:
    request = query.request()
    answer = recommender.recommend(user_id, request)
    return ranked_list("recommendations", answer, request, ids=ids)
