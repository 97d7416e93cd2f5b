"""What is promised of a training, without a database: it knows colours, places films by facts, repeats itself."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.ml.item_factors import BLOCKS, DIMENSIONS, ItemFactors, loudness
from backend.ml.kernels import USUAL_RATING
from backend.ml.learning import (
    CONTENT_ALONE,
    LEAST_FILMS,
    LEAST_OPINIONS,
    LEAST_PEOPLE,
    Catalogue,
    Model,
    is_crowd,
    learn,
)
from backend.ml.similarity import query
from backend.ml.taste_pack import TastePack, learn_pack, trust_in_place
from backend.models import EMBEDDING_DIMENSION

PEOPLE, FILMS = 60, 40
LONELY = range(FILMS, FILMS + 4)
"""Films of either colour that nobody has an opinion of."""
IDS = np.arange(100, 100 + FILMS + len(LONELY), dtype=np.int32)
EVEN = IDS % 2 == 0
TASTE, CONTENT, PRIOR = (slice(*BLOCKS[name]) for name in ("taste", "content", "prior"))

Floats = NDArray[np.float32]


def described(film: int) -> dict[str, Any]:
    """Even films are Westerns, odd ones Musicals."""
    colour = film % 2
    return {
        "genres": [("Western", "Musical")[colour]],
        "keywords": [("horse", "dance")[colour], f"keyword {film % 5}"],
        "directors": [f"Director {colour} {film % 3}"],
        "actors": [],
        "collection": None,
        "release_year": 1990 + film % 7,
        "original_language": "en",
        "vote_count": 100 + film,
        "vote_average": USUAL_RATING,
    }


@cache
def catalogue() -> Catalogue:
    """Embeddings say next to nothing: they all point nearly the same way."""
    units = np.random.default_rng(1).normal(scale=1e-3, size=(len(IDS), EMBEDDING_DIMENSION)).astype(np.float32)
    units[:, 0] += 1
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return Catalogue(ids=IDS, films=[described(film) for film in IDS.tolist()], embeddings=units)


def withheld(person: int) -> int:
    """The one film of their colour, by index, that a person has not seen."""
    return person % FILMS


@cache
def checkerboard(people: int = PEOPLE) -> csr_array:
    """Even people like even films but for one, odd people odd ones."""
    person, film = np.indices((people, len(IDS)))
    likes = (person % 2 == film % 2) & (film < FILMS) & (film != person % FILMS)
    return csr_array(likes.astype(np.float32))


def nobody() -> csr_array:
    """An installation without people."""
    return csr_array((0, len(IDS)), dtype=np.float32)


@cache
def pack() -> TastePack:
    """Of as many people elsewhere, on the same films."""
    return learn_pack(IDS, checkerboard(), films=catalogue().films, embeddings=catalogue().embeddings)


@cache
def learned(case: str) -> tuple[ItemFactors, Model]:
    """What a training makes of it."""
    own = checkerboard() if case != "pack" else nobody()
    return learn(catalogue(), own, pack=None if case == "own" else pack())


def scores(factors: ItemFactors, weights: Floats) -> Floats:
    """Of all films, for someone with these weights."""
    person = factors.start + loudness(float(np.abs(weights).sum())) * (weights @ factors.p)
    return np.asarray(person @ factors.q.T)


def liking(*films: int) -> Floats:
    """Of someone who likes these, by index."""
    return np.isin(np.arange(len(IDS)), films).astype(np.float32)


def assert_equal_factors(first: ItemFactors, second: ItemFactors) -> None:
    for name in ("p", "q", "s", "start", "known"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


# Who likes what


@pytest.mark.parametrize("case", ["own", "pack", "both"])
def test_the_withheld_film_comes_back(case: str) -> None:
    factors, _ = learned(case)
    assert factors.p.shape == factors.q.shape == (len(IDS), DIMENSIONS)
    for person in range(PEOPLE):
        weights = checkerboard().toarray()[person]
        found = np.where((weights > 0) | (np.arange(len(IDS)) >= FILMS), -np.inf, scores(factors, weights))
        assert found.argmax() == withheld(person)


@pytest.mark.parametrize("case", ["own", "pack", "both"])
def test_one_film_tells_the_colour_and_a_dislike_speaks_against_it(case: str) -> None:
    factors, _ = learned(case)
    before = scores(factors, liking())
    for film in (0, 1):
        gain = (scores(factors, liking(film)) - before)[:FILMS]
        same = EVEN[:FILMS] == EVEN[film]
        other = ~same
        same[film] = False
        assert gain[same].mean() > 0
        assert gain[same].mean() > gain[other].mean()
        loss = scores(factors, -0.5 * liking(film))[:FILMS] - before[:FILMS]
        assert loss[same].mean() < 0


@pytest.mark.parametrize("case", ["own", "pack", "both"])
def test_a_film_that_nobody_has_an_opinion_of_is_placed_with_its_kind(case: str) -> None:
    factors, _ = learned(case)
    assert factors.known.all()
    even, odd = (
        np.mean([scores(factors, row) for row in checkerboard().toarray()[colour::2]], axis=0) for colour in (0, 1)
    )
    for film in LONELY:
        assert (even[film] > odd[film]) == EVEN[film]


@pytest.mark.parametrize("case", ["own", "pack", "both"])
def test_who_likes_such_a_film_is_told_of_its_kind(case: str) -> None:
    factors, _ = learned(case)
    for film in LONELY:
        gain = (scores(factors, liking(film)) - scores(factors, liking()))[:FILMS]
        same = EVEN[:FILMS] == EVEN[film]
        assert gain[same].mean() > gain[~same].mean()


def test_similar_films_are_liked_by_the_same_people() -> None:
    """Two camps that facts know nothing of."""
    bare = [{**film, "genres": [], "keywords": [], "directors": []} for film in catalogue().films]
    factors, _ = learn(replace(catalogue(), films=bare), checkerboard(), pack=None)
    alike = query(factors.s[:FILMS]) @ factors.s[:FILMS].T
    np.fill_diagonal(alike, -np.inf)
    assert (EVEN[alike.argmax(axis=1)] == EVEN[:FILMS]).all()


# What there is to learn from


def test_without_a_crowd_and_a_pack_there_is_content_and_what_tmdbs_people_say() -> None:
    for own in (nobody(), checkerboard(LEAST_PEOPLE - 1)):
        factors, model = learn(catalogue(), own, pack=None)
        assert (model.maps, len(model.step)) == ((), 0)
        assert not factors.p[:, TASTE].any()
        assert not factors.q[:, TASTE].any()
        assert factors.known.all()
        gain = scores(factors, liking(0)) - scores(factors, liking())
        gain[0] = np.nan
        assert np.nanmean(gain[EVEN]) > np.nanmean(gain[~EVEN])
    alone = learn(catalogue(), nobody(), pack=None)[0]
    votes = [film["vote_count"] for film in catalogue().films]
    assert np.argsort(scores(alone, liking())).tolist() == np.argsort(votes).tolist()


def test_someone_unknown_gets_what_most_like_here_and_elsewhere() -> None:
    own = csr_array((np.arange(LEAST_PEOPLE * 2)[:, None] >= np.arange(len(IDS)) % 20).astype(np.float32))
    factors, _ = learn(catalogue(), own, pack=pack())
    likes = np.zeros(len(IDS))
    likes[np.searchsorted(IDS, pack().film_ids)] = pack().popularity
    expected = own.sum(axis=0) + likes
    prior = factors.q[:, PRIOR] @ factors.start[PRIOR]
    clearly = np.subtract.outer(expected, expected) > 5  # more than votes can add
    assert (np.subtract.outer(prior, prior)[clearly] > 0).all()


def test_content_matters_less_the_more_people_there_are_to_learn_from() -> None:
    loudness = [
        learn(catalogue(), nobody(), pack=None)[1].content,
        learn(catalogue(), checkerboard(LEAST_PEOPLE - 1), pack=None)[1].content,
        learned("own")[1].content,
        learned("both")[1].content,
    ]
    assert loudness[0] == CONTENT_ALONE
    assert loudness == sorted(loudness, reverse=True)
    content = learned("pack")[0].q[:, CONTENT]
    expected = np.full(len(IDS), learned("pack")[1].content)
    np.testing.assert_allclose(np.square(content).sum(axis=1), expected, rtol=1e-4)


@pytest.mark.parametrize("case", ["own", "pack", "both"])
def test_a_model_has_a_map_for_each_crowd(case: str) -> None:
    assert len(learned(case)[1].maps) == {"own": 1, "pack": 1, "both": 2}[case]


def test_a_pack_of_other_films_only_does_no_harm() -> None:
    """Its people have rated nothing of the catalogue, and their map still places everything."""
    elsewhere = replace(pack(), film_ids=(pack().film_ids + 10_000).astype(np.int32))
    factors, _ = learn(catalogue(), nobody(), pack=elsewhere)
    assert all(np.isfinite(getattr(factors, name)).all() for name in ("p", "q", "s", "start"))
    assert factors.known.all()


@pytest.mark.parametrize(
    ("people", "films", "is_enough"),
    [
        (LEAST_PEOPLE, LEAST_FILMS, True),
        (LEAST_PEOPLE - 1, 2 * LEAST_FILMS, False),
        (2 * LEAST_PEOPLE, LEAST_FILMS - 1, False),
    ],
)
def test_a_crowd_is_people_and_films_and_opinions(people: int, films: int, is_enough: bool) -> None:
    silent = csr_array((3, films), dtype=np.float32)
    opinions = np.ones((people, films), dtype=np.float32)
    own = csr_array(np.vstack([opinions, silent.toarray()]))
    assert is_crowd(own) is is_enough
    opinions[0, 0] = 0
    fewer = csr_array(opinions)
    assert is_crowd(fewer) is (is_enough and fewer.nnz >= LEAST_OPINIONS)


def test_people_who_have_no_film_in_common_are_no_crowd() -> None:
    own = csr_array(np.kron(np.eye(LEAST_PEOPLE), np.ones(LEAST_OPINIONS // LEAST_PEOPLE)).astype(np.float32))
    assert own.nnz >= LEAST_OPINIONS
    assert not is_crowd(own)


def test_of_a_film_without_an_embedding_and_without_opinions_nothing_is_known() -> None:
    embeddings = catalogue().embeddings.copy()
    embeddings[[0, LONELY[0]]] = 0
    factors, _ = learn(replace(catalogue(), embeddings=embeddings), checkerboard(), pack=pack())
    assert np.flatnonzero(~factors.known).tolist() == [LONELY[0]]


# The same again


def test_equal_input_gives_equal_factors() -> None:
    again, model = learn(catalogue(), checkerboard(), pack=pack())
    factors, first = learned("both")
    assert_equal_factors(factors, again)
    assert model.to_arrays().keys() == first.to_arrays().keys()


def test_the_order_of_people_does_not_matter() -> None:
    backwards = csr_array(checkerboard().toarray()[::-1])
    found, again = learned("own")[0], learn(catalogue(), backwards, pack=None)[0]
    for weights in (liking(0), liking(1, 3)):
        np.testing.assert_allclose(scores(found, weights), scores(again, weights), atol=1e-3)


# Films that arrive later


@pytest.mark.parametrize("case", ["own", "pack", "both"])
def test_a_film_that_arrives_later_is_placed_as_the_training_would_have(case: str) -> None:
    factors, model = learned(case)
    lonely = np.array(LONELY)
    placed = model.place([catalogue().films[film] for film in LONELY], catalogue().embeddings[lonely])
    np.testing.assert_allclose(placed.q[:, TASTE], factors.q[lonely, TASTE], rtol=1e-3, atol=1e-6)
    for name in ("p", "q", "s"):
        np.testing.assert_allclose(getattr(placed, name), getattr(factors, name)[lonely], rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(placed.start, factors.start)
    assert placed.known.all()


@pytest.mark.parametrize("case", ["own", "pack", "both"])
def test_a_model_survives_being_written(case: str, tmp_path: Any) -> None:
    _, model = learned(case)
    np.savez(tmp_path / "model.npz", **model.to_arrays())
    with np.load(tmp_path / "model.npz") as arrays:
        again = Model.from_arrays(arrays)
    films, embeddings = [described(7), described(8)], catalogue().embeddings[:2]
    placed, expected = again.place(films, embeddings), model.place(films, embeddings)
    # The maps are kept in half precision.
    np.testing.assert_allclose(placed.q, expected.q, rtol=2e-2, atol=2e-3)
    np.testing.assert_array_equal(placed.s, expected.s)


def test_no_film_is_placed_without_harm() -> None:
    empty = learned("own")[1].place([], np.zeros((0, EMBEDDING_DIMENSION), dtype=np.float32))
    assert empty.q.shape == (0, DIMENSIONS)


def test_a_film_of_which_nothing_is_known_has_a_place_all_the_same() -> None:
    _, model = learned("both")
    bare = dict.fromkeys(described(1))
    placed = model.place([bare], np.zeros((1, EMBEDDING_DIMENSION), dtype=np.float32))
    assert np.isfinite(placed.q).all()
    assert np.isfinite(placed.s).all()


def test_the_map_is_trusted_fully_where_nobody_has_spoken() -> None:
    assert trust_in_place(np.array([0]))[0] == max(trust_in_place(np.arange(50)))
