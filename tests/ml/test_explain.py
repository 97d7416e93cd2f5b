"""Reasons: only what two films really share, the telling first."""

from typing import Any

import numpy as np
import pytest

from backend.ml.answer import Answer, Request
from backend.ml.explain import SHARED, Contributions, Terms, shared_facts, shared_with, with_words_as_reason
from backend.ml.item_factors import BLOCKS, DIMENSIONS

PRIOR = BLOCKS["prior"].begin
HIDDEN = 5
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
    return Contributions(score=score, start=start, blocks={}, liked=dict(enumerate(shares, start=1)))


def titled(number: int) -> dict[str, Any]:
    """What is known of a film."""
    return {"title": f"Film {number}", "hidden": number == HIDDEN}


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
    reasons = contributions.reasons(titled)
    assert [reason["kind"] for reason in reasons] == kinds
    assert sum(reason["share"] for reason in reasons) == pytest.approx(contributions.score, rel=1e-15)
    assert all(reason["title"] == f"Film {reason['id']}" for reason in reasons if reason["kind"] == "liked")


def test_the_films_that_bring_most_are_named_and_of_equals_the_one_with_the_lowest_id() -> None:
    gains = np.zeros((5, DIMENSIONS))
    gains[:, 0] = 1, 3, -2, 3, 3
    start, q = np.zeros(DIMENSIONS, dtype=np.float32), np.zeros((2, DIMENSIONS), dtype=np.float32)
    start[PRIOR], q[:, 0], q[:, PRIOR] = 0.5, (1, -1), 2
    terms = Terms(start=start, ids=np.array([7, 8, 9, 10, 11], dtype=np.int32), gains=gains)
    likes, hates = terms.contributions([9.0, -7.0], q)
    assert list(likes.liked.items()) == [(8, 3), (10, 3), (11, 3)]
    assert list(hates.liked.items()) == [(9, 2)]
    assert (likes.start, hates.start) == (1, 1)
    assert likes.blocks == {"taste": 8, "company": 0, "content": 0, "prior": 1}
    assert hates.blocks == {"taste": -8, "company": 0, "content": 0, "prior": 1}


def test_someone_without_an_opinion_has_the_start_alone() -> None:
    start = np.ones(DIMENSIONS, dtype=np.float32)
    terms = Terms(start=start, ids=np.empty(0, dtype=np.int32), gains=np.empty((0, DIMENSIONS)))
    (made,) = terms.contributions([float(DIMENSIONS)], start[None])
    assert made.reasons(titled) == [{"kind": "popular", "share": DIMENSIONS}]


def test_what_is_left_by_rounding_is_no_reason() -> None:
    assert [reason["kind"] for reason in made_of(0.9 + 1e-8, 0.2, 0.7).reasons(titled)] == ["liked", "popular"]


def test_a_film_that_is_hidden_is_not_named_but_still_counts() -> None:
    reasons = made_of(0.9, 0.2, *[0.1] * (HIDDEN - 1), 0.3).reasons(titled)
    assert HIDDEN not in [reason.get("id") for reason in reasons]
    assert [reason["kind"] for reason in reasons] == ["liked"] * (HIDDEN - 1) + ["others", "popular"]
    assert sum(reason["share"] for reason in reasons) == pytest.approx(0.9)


def test_words_are_the_reason_of_a_list_that_was_asked_for_with_words() -> None:
    answer = Answer(rows=[{"id": 1}], source="pgvector", model_version="1")
    assert with_words_as_reason(answer, Request()).rows == [{"id": 1}]
    assert with_words_as_reason(answer, Request(explain=True)).rows == [{"id": 1, "why": [{"kind": "words"}]}]
