"""Films become rows of facts, and films that come later become rows of the same facts."""

from typing import Any

import numpy as np

from backend.ml.facts import MOST_ACTORS, Vocabulary, facts_of, learn_vocabulary

HEAT = {
    "genres": ["Crime", "Drama"],
    "keywords": ["heist"],
    "directors": ["Michael Mann"],
    "actors": ["Al Pacino", "Robert De Niro"],
    "collection": None,
    "release_year": 1995,
    "original_language": "en",
}
THIEF = {
    "genres": ["Crime"],
    "keywords": ["heist", "safecracker"],
    "directors": ["Michael  Mann"],
    "actors": ["James Caan"],
    "release_year": 1981,
    "original_language": "en",
}
BARE: dict[str, Any] = {"genres": None, "keywords": [], "release_year": None, "original_language": ""}


def test_a_film_is_described_by_what_is_known_of_it() -> None:
    assert ("director", "michael mann") in set(facts_of(HEAT))
    assert ("decade", "1990") in set(facts_of(HEAT))
    assert ("language", "en") in set(facts_of(HEAT))
    assert ("collection", "alien collection") in set(facts_of({"collection": "Alien Collection"}))
    assert not list(facts_of(BARE))


def test_only_the_first_of_a_long_cast_count() -> None:
    assert len(list(facts_of({"actors": [f"Actor {number}" for number in range(40)]}))) == MOST_ACTORS


def test_facts_of_a_single_film_are_left_out() -> None:
    vocabulary = learn_vocabulary([HEAT, THIEF, BARE])
    expected = {("director", "michael mann"), ("genre", "crime"), ("keyword", "heist"), ("language", "en")}
    assert set(vocabulary.facts) == expected


def test_shared_facts_share_columns_and_the_rarer_is_louder() -> None:
    films = [HEAT, THIEF, {"original_language": "en"}]
    vocabulary = learn_vocabulary(films)
    rows = vocabulary.matrix(films).toarray()
    assert rows.dtype == np.float32
    assert np.array_equal(rows[0], rows[1])
    by_fact = dict(zip(vocabulary.facts, rows[0], strict=True))
    assert by_fact["director", "michael mann"] > by_fact["language", "en"] > 0
    assert (rows[2] > 0).sum() == 1


def test_a_film_that_comes_later_is_mapped_alike() -> None:
    vocabulary = learn_vocabulary([HEAT, THIEF])
    late = vocabulary.matrix([BARE, {**HEAT, "keywords": ["never seen before"]}])
    assert late.shape == (2, len(vocabulary.facts))
    assert late[[0], :].nnz == 0
    assert late[[1], :].nnz == len(vocabulary.facts) - 1


def test_a_fact_named_twice_counts_once() -> None:
    vocabulary = learn_vocabulary([HEAT, THIEF])
    once, twice = vocabulary.matrix([HEAT, {**HEAT, "genres": ["Crime", "crime"]}]).toarray()
    assert np.array_equal(once, twice)


def test_a_vocabulary_survives_being_written() -> None:
    strange = {"keywords": ["line\u2028separator", "über", "two\nlines"]}
    vocabulary = learn_vocabulary([HEAT, THIEF, strange, strange])
    again = Vocabulary.from_arrays(vocabulary.to_arrays())
    assert again.facts == vocabulary.facts
    assert np.array_equal(again.loudness, vocabulary.loudness)


def test_without_films_there_is_an_empty_vocabulary() -> None:
    empty = Vocabulary.from_arrays(learn_vocabulary([]).to_arrays())
    assert empty.facts == ()
    assert empty.matrix([HEAT]).shape == (1, 0)
