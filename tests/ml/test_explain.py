"""Reasons: only what two films really share, the telling first."""

from typing import Any

import pytest

from backend.ml.answer import Answer, Request
from backend.ml.explain import SHARED, Contributions, shared_facts, shared_with, with_words_as_reason

NOTHING: dict[str, Any] = {"collection": None, "directors": [], "actors": [], "keywords": [], "genres": []}


def film(**facts: Any) -> dict[str, Any]:
    """What explanations compare."""
    return NOTHING | facts


def test_what_is_shared_is_named_with_the_telling_kinds_first() -> None:
    seed = film(
        collection="Toy Story Collection",
        directors=["John Lasseter"],
        actors=["Tom Hanks", "Tim Allen"],
        keywords=["toy", "boy"],
        genres=["Animation", "Comedy"],
    )
    other = film(
        collection="Toy Story Collection",
        directors=["John Lasseter", "Ash Brannon"],
        actors=["Tim Allen", "Joan Cusack", "Tom Hanks"],
        keywords=["toy", "museum"],
        genres=["Comedy", "Animation", "Family"],
    )
    assert shared_facts(seed, other) == [
        {"kind": "collection", "names": ["Toy Story Collection"]},
        {"kind": "director", "names": ["John Lasseter"]},
        {"kind": "actor", "names": ["Tim Allen", "Tom Hanks"]},
        {"kind": "keyword", "names": ["toy"]},
        {"kind": "genre", "names": ["Comedy", "Animation"]},
    ]


def test_films_with_nothing_in_common_have_no_reason() -> None:
    assert shared_facts(film(genres=["War"], directors=["A"]), film(genres=["Comedy"], directors=["B"])) == []


@pytest.mark.parametrize("kind", SHARED)
def test_that_both_know_nothing_is_no_reason(kind: str) -> None:
    assert shared_facts(NOTHING, NOTHING) == []
    assert shared_facts(film(genres=["War"]), NOTHING | {SHARED[kind]: None}) == []


def test_a_collection_is_compared_whole_not_letter_by_letter() -> None:
    assert shared_facts(film(collection="Alien"), film(collection="Aliens")) == []


def test_facts_shared_with_a_liked_film_name_it() -> None:
    liked = film(id=1, title="Alien", directors=["Ridley Scott"], genres=["Horror"])
    assert shared_with(liked, film(directors=["Ridley Scott"], genres=["Drama"])) == [
        {"kind": "director", "names": ["Ridley Scott"], "id": 1, "title": "Alien"}
    ]


# Shares


def made_of(score: float, start: float, *shares: float) -> Contributions:
    """A score to which so many liked films, and everyone's start, bring so much."""
    liked = [{"id": i, "title": f"Film {i}", "share": share} for i, share in enumerate(shares, start=1)]
    return Contributions(score=score, start=start, blocks={}, liked=liked)


@pytest.mark.parametrize(
    ("contributions", "kinds"),
    [
        (made_of(0.9, 0.2, 0.4, 0.3), ["liked", "liked", "popular"]),
        (made_of(2.0, 0.2, 0.4, 0.3), ["liked", "liked", "others", "popular"]),
        (made_of(-1.0, 0.2, 0.4), ["liked", "others", "popular"]),
        (made_of(0.2, 0.2), ["popular"]),
        (made_of(0.0, 0.0), ["popular"]),
        (made_of(-0.5, 0.2), ["others", "popular"]),
    ],
)
def test_the_shares_add_up_to_the_score(contributions: Contributions, kinds: list[str]) -> None:
    reasons = contributions.reasons()
    assert [reason["kind"] for reason in reasons] == kinds
    assert sum(reason["share"] for reason in reasons) == pytest.approx(contributions.score)


def test_what_is_left_by_rounding_is_no_reason() -> None:
    assert [reason["kind"] for reason in made_of(0.9 + 1e-8, 0.2, 0.7).reasons()] == ["liked", "popular"]


def test_words_are_the_reason_of_a_list_that_was_asked_for_with_words() -> None:
    answer = Answer(rows=[{"id": 1}], source="pgvector", model_version="1")
    assert with_words_as_reason(answer, Request()).rows == [{"id": 1}]
    assert with_words_as_reason(answer, Request(explain=True)).rows == [{"id": 1, "why": [{"kind": "words"}]}]
