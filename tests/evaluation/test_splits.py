"""What is to be found is never learned from, and never given."""

import numpy as np

from backend.evaluation.data import Dataset
from backend.evaluation.grading import liked
from backend.evaluation.splits import (
    KNOWN_LIKES,
    PARTS,
    Cases,
    held_out,
    new_films,
    past_and_future,
    subsample,
    validation,
)
from backend.ml.people_store import Acts
from tests.evaluation.world import dataset_of


def films_of(people: tuple[Acts, ...]) -> set[tuple[int, float]]:
    """Acts of a world in which no two have the same time."""
    return {(int(act["movie_id"]), float(act["at"])) for acts in people for act in acts}


def assert_nothing_given_is_wanted(dataset: Dataset, cases: Cases) -> None:
    for person, given, wanted in zip(cases.people, cases.given, cases.wanted, strict=True):
        films = dataset.catalogue.ids[wanted]
        assert len(films)
        assert not set(films) & set(given["movie_id"])
        assert set(films) <= set(liked(dataset.people[person])["movie_id"])


def test_everyone_is_held_out_once_a_round_and_never_learned_from() -> None:
    dataset, asked = dataset_of(), []
    splits = list(held_out(dataset, rounds=2, rng=np.random.default_rng(0)))
    assert len(splits) == 2 * PARTS
    for split in splits:
        people = {number for number, _ in split.held_out}
        asked += sorted(people)
        assert not films_of(split.training.people) & films_of(tuple(acts for _, acts in split.held_out))
        assert len(split.training.people) + len(people) == len(dataset.people)
    assert sorted(asked) == sorted(2 * list(range(len(dataset.people))))


def test_a_fifth_of_a_history_is_hidden_and_all_the_rest_given() -> None:
    dataset = dataset_of()
    split = next(held_out(dataset, rounds=1, rng=np.random.default_rng(0)))
    cases = split.cases(np.random.default_rng(1))
    assert_nothing_given_is_wanted(dataset, cases)
    for person, given in zip(cases.people, cases.given, strict=True):
        assert len(given) == round(0.8 * len(dataset.people[person]))
    assert any((given["value"] < 4).any() for given in cases.given)


def test_of_newcomers_only_liked_films_are_known_and_all_others_wanted() -> None:
    dataset = dataset_of()
    split = next(held_out(dataset, rounds=1, rng=np.random.default_rng(0)))
    newcomers = split.newcomers(np.random.default_rng(1))
    for known in KNOWN_LIKES:
        cases = newcomers[known]
        assert_nothing_given_is_wanted(dataset, cases)
        assert cases.people.tolist() == newcomers[1].people.tolist()
        for person, given, wanted in zip(cases.people, cases.given, cases.wanted, strict=True):
            assert len(given) == len(liked(given)) == known
            assert known + len(wanted) == len(liked(dataset.people[person]))


def test_validation_people_are_of_the_training_and_not_learned_from() -> None:
    split = next(held_out(dataset_of(), rounds=1, rng=np.random.default_rng(0)))
    inner = validation(split.training, rng=np.random.default_rng(1))
    asked = films_of(tuple(acts for _, acts in inner.held_out))
    assert asked <= films_of(split.training.people)
    assert not asked & films_of(inner.training.people)


def test_new_films_lose_everything_that_was_done_with_them() -> None:
    dataset = dataset_of()
    training, new, cases = new_films(dataset, rng=np.random.default_rng(0))
    gone = set(dataset.catalogue.ids[new])
    assert len(new) == len(dataset.catalogue) / 10
    assert not gone & {film for film, _ in films_of(training.people)}
    assert not gone & {film for film, _ in films_of(cases.given)}
    assert {int(film) for wanted in cases.wanted for film in wanted} <= set(new.tolist())
    assert_nothing_given_is_wanted(dataset, cases)


def test_nothing_of_the_future_is_known_in_the_past() -> None:
    dataset = dataset_of()
    training, cases = past_and_future(dataset)
    cut = np.quantile(np.concatenate([acts["at"] for acts in dataset.people]), 0.8)
    assert max(acts["at"].max() for acts in training.people) < cut
    assert all(given["at"].max() < cut for given in cases.given)
    for person, wanted in zip(cases.people, cases.wanted, strict=True):
        later = dataset.people[person][dataset.people[person]["at"] >= cut]
        assert set(dataset.catalogue.ids[wanted]) == set(liked(later)["movie_id"])


def test_a_smaller_world_holds_only_its_own_films() -> None:
    smaller = subsample(dataset_of(), people=10, films=20, rng=np.random.default_rng(0))
    assert (len(smaller.people), len(smaller.catalogue)) == (10, 20)
    assert {film for film, _ in films_of(smaller.people)} <= set(smaller.catalogue.ids.tolist())


def test_the_same_seed_gives_the_same_questions() -> None:
    dataset = dataset_of()
    first, second = (next(held_out(dataset, rounds=1, rng=np.random.default_rng(3))) for _ in range(2))
    assert [number for number, _ in first.held_out] == [number for number, _ in second.held_out]
    given, again = first.cases(np.random.default_rng(4)).given, second.cases(np.random.default_rng(4)).given
    assert all((a == b).all() for a, b in zip(given, again, strict=True))
