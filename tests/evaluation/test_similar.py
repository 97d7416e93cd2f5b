import warnings
from dataclasses import replace

import numpy as np
import pytest

from backend.evaluation import cine_rec
from backend.evaluation.data import Catalogue, Dataset
from backend.evaluation.similar import COVERAGE_FLOOR, POPULAR_CEILING, ByScore, Judge, similar_films
from backend.evaluation.similar_weights import fit_weights
from backend.ml.facts import learn_vocabulary
from backend.ml.item_factors import nowhere_to_be_found
from backend.ml.kernels import Known, Taste
from backend.ml.people_store import ACT, KIND_NUMBER
from backend.ml.similarity import learn_similarity

FILMS, PEOPLE = 80, 120


def film(number):
    """Every other film is a Western, and so on: a world of two camps."""
    return {
        "id": 10 + number,
        "imdb_id": None,
        "title": f"Film {number}",
        "original_title": None,
        "original_language": "en",
        "overview": f"Story {number % 2} of film {number}.",
        "tagline": None,
        "genres": ["Western"] if number % 2 else ["Comedy"],
        "keywords": [f"keyword {number % 2}", f"keyword {number % 5}"],
        "directors": [f"Director {number % 2} {number % 3}"],
        "actors": [f"Actor {number % 4}"],
        "collection": None,
        "release_date": None,
        "release_year": 1990 + number % 20,
        "runtime": 100,
        "budget": None,
        "revenue": None,
        "popularity": 1.0,
        "vote_average": 7.0,
        "vote_count": 100 + number,
        "status": None,
        "poster_path": None,
        "backdrop_path": None,
        "original_overview": None,
        "adult": False,
        "hidden": False,
        "quality": 30.0,
    }


def person(number, rng):
    """Likes films of one camp, and rates some of the other low."""
    own = 10 + 2 * rng.choice(FILMS // 2, 25, replace=False) + number % 2
    other = 10 + 2 * rng.choice(FILMS // 2, 8, replace=False) + 1 - number % 2
    kind = KIND_NUMBER["rating"]
    rows = [(movie_id, kind, 5.0, 1.0) for movie_id in own] + [(movie_id, kind, 1.0, 1.0) for movie_id in other]
    return np.array(rows, dtype=ACT)


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(4)
    units = rng.normal(size=(FILMS, 384)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    catalogue = Catalogue(tuple(map(film, range(FILMS))), units)
    return Dataset(catalogue, tuple(person(number, rng) for number in range(PEOPLE)))


class Likes:
    """Places films by who rated them."""

    def pack(self, crowd):
        raise NotImplementedError

    def factors(self, training, *, pack=None):
        catalogue = training.catalogue
        places = np.zeros((FILMS, 40), dtype=np.float32)
        for number, acts in enumerate(training.people):
            places[catalogue.places(acts["movie_id"]), number % 40] += np.where(acts["value"] > 3, 1, -1)
        taste = Taste(places=places, people=training.raters.astype(np.int32))
        vocabulary = learn_vocabulary(catalogue.films)
        known = Known.of(catalogue.films, vocabulary, catalogue.embeddings)
        found = learn_similarity(vocabulary, known, taste=taste).vectors(known, taste=taste)
        return replace(nowhere_to_be_found(FILMS), s=found, known=np.ones(FILMS, dtype=bool))


def test_what_the_same_people_like_is_relevant(dataset):
    judge = Judge.of(dataset.people, dataset.catalogue)
    camp = judge.candidates % 2
    nearest = judge.relevant & (judge.seeds[:, None] % 2 == camp)
    assert nearest.sum(axis=1).min() == 39
    assert not (judge.relevant & judge.itself).any()


def test_a_perfect_list_has_precision_one_and_the_worst_none(dataset):
    judge = Judge.of(dataset.people, dataset.catalogue)

    def by_relevance(sign):
        return ByScore(lambda seeds, among: sign * judge.relevant.astype(float))

    best = by_relevance(1).lists(judge.seeds, judge.candidates)
    assert (judge.precision(best) == 1).all()
    worst = by_relevance(-1).lists(judge.seeds, judge.candidates)
    assert (judge.precision(worst) < 0.2).all()


def test_a_list_never_holds_its_seed():
    everything = np.arange(30)
    lists = ByScore(lambda seeds, among: np.equal.outer(seeds, among).astype(float)).lists(everything, everything)
    assert not (lists == everything[:, None]).any()


def test_asked_about_some_films_alone_the_rest_stays(dataset):
    judge = Judge.of(dataset.people, dataset.catalogue)
    even = judge.only(np.arange(FILMS) % 2 == 0)
    assert (even.seeds % 2 == 0).all()
    assert len(even.candidates) == len(judge.candidates)
    assert even.relevant.shape == even.itself.shape == (len(even.seeds), len(judge.candidates))


def test_weights_go_to_the_kernel_that_tells():
    rng = np.random.default_rng(5)
    telling, noise = rng.random((40, 60)), rng.random((40, 60))
    relevant = telling > 0.8
    itself = np.eye(40, 60, dtype=bool)
    fitted = fit_weights({"genre": telling, "keyword": noise, "era": -telling}, relevant & ~itself, itself)
    assert fitted["genre"] > 10 * fitted["keyword"]
    assert fitted["era"] == 0
    assert fitted["taste"] == 0


def test_interactions_are_worth_something_and_nothing_leaks(dataset):
    outcome = similar_films(dataset, Likes(), rounds=1)
    precision = {name: found["precision@10"].mean for name, found in outcome.methods.items()}
    assert precision["served"] > 0.9
    assert precision["served, without interactions"] > 0.9
    assert precision["cosine of embeddings"] < 0.8
    assert 0 < outcome.methods["served"]["coverage"].mean <= 1
    assert outcome.people > 0
    for name, told in next(note for title, note in outcome.notes.items() if title.startswith("coverage")).items():
        found = outcome.methods[name]
        kept = found["coverage"].mean >= COVERAGE_FLOOR and found["popular"].mean <= POPULAR_CEILING
        assert told == ("kept" if kept else "MISSED")


@pytest.mark.skipif(not cine_rec.installed(), reason="cine-rec-engine is not installed")
def test_the_rival_scores_by_its_own_code(dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        rival = cine_rec.CineRec(dataset.catalogue)
    some = np.arange(20)
    found = rival(some, some)
    assert found.shape == (20, 20)
    # Those without a genre in common are out for it.
    assert (found[0, 1::2] == 0).all()
    assert (found[0, 2::2] > 0).all()
