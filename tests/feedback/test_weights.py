"""Weights: what an interaction says, and how it fades."""

import pytest

from backend.feedback.weights import (
    BASE_WEIGHTS,
    HALF_COMPANY,
    HALF_LIFE_DAYS,
    HALF_PRIOR,
    KINDS,
    TASTE_KINDS,
    Kind,
    company_scale,
    history_scale,
    interaction_weight,
)
from backend.models import Interaction


@pytest.mark.parametrize(
    ("value", "weight"), [(5, 1.0), (4.5, 0.9), (4, 0.8), (3, 0.3), (2.5, 0.15), (2, 0.0), (1, -0.2), (0.5, -0.3)]
)
def test_a_rating_counts_by_its_value(value: float, weight: float) -> None:
    assert interaction_weight("rating", value, 0) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("kind", "weight"),
    [
        ("like", 1.0),
        ("dislike", -0.5),
        ("watchlist", 0.4),
        ("watched", 0.2),
        ("not_interested", -0.3),
        ("click", 0.05),
    ],
)
def test_every_other_kind_has_its_own_weight(kind: Kind, weight: float) -> None:
    assert interaction_weight(kind, None, 0) == weight


def test_an_act_counts_half_after_each_half_life() -> None:
    assert interaction_weight("like", None, HALF_LIFE_DAYS) == pytest.approx(0.5)
    assert interaction_weight("rating", 0.5, 2 * HALF_LIFE_DAYS) == pytest.approx(-0.3 / 4)


def test_the_more_someone_did_the_more_each_act_counts_against_the_start() -> None:
    assert history_scale(0) == 1
    assert history_scale(HALF_PRIOR) == 2


def test_what_is_liked_along_with_a_film_counts_while_little_else_is_known() -> None:
    assert company_scale(0) == 1
    assert company_scale(HALF_COMPANY) == 0.5
    assert company_scale(100) < 0.002


def test_a_rating_without_a_value_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="value"):
        interaction_weight("rating", None, 0)


def test_every_kind_that_the_table_takes_has_a_weight() -> None:
    assert {"rating", *BASE_WEIGHTS} == set(KINDS) > set(TASTE_KINDS)
    (check,) = (c for c in Interaction.__table__.constraints if c.name == "interactions_kind_check")
    assert all(f"'{kind}'" in str(check.sqltext) for kind in KINDS)
