"""Reasons: only what two films really share, the telling first."""

from typing import Any

import pytest

from backend.ml.explain import SHARED, shared_facts

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
