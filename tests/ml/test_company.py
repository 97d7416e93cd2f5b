"""What is liked along with what."""

import numpy as np

from backend.ml.company import COMPANY_GAIN, LEAST_COMPANY, company

ROWS = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0.5, 0], [0, 0, 1, 0]], dtype=np.float32)
POPULARITY = ROWS.sum(axis=0)


def test_a_film_leads_to_another_by_the_share_of_its_people_who_like_that_too() -> None:
    q, p = company(ROWS, POPULARITY, rank=4)
    share = ROWS.T @ ROWS / (POPULARITY + LEAST_COMPANY)[:, None]
    np.testing.assert_allclose(p @ q.T, COMPANY_GAIN * share, atol=1e-5)


def test_a_lower_rank_keeps_what_most_people_say() -> None:
    q, p = company(ROWS, POPULARITY, rank=1)
    assert q.shape == p.shape == (4, 1)
    assert (p @ q.T)[0].argsort()[::-1][:2].tolist() == [0, 1]


def test_a_film_that_nobody_knows_leads_nowhere() -> None:
    q, p = company(ROWS, POPULARITY, rank=4)
    assert not q[3].any()
    assert not p[3].any()
