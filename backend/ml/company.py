"""What is liked along with what: all that is to be told of someone of whom next to nothing is known."""

import numpy as np
from numpy.typing import NDArray

from backend.ml.ease import main_directions

Floats = NDArray[np.float32]

COMPANY_GAIN = 0.8
"""How loud it is beside taste."""
LEAST_COMPANY = 10.0
"""A film that so many people like says half of what their share says."""


def company(rows: Floats, popularity: Floats, *, rank: int) -> tuple[Floats, Floats]:
    """q and p, shape (films, rank): p_i . q_j is near the share of those who like film i that like film j.

    With rows X it is (X'X)_ij / (popularity_i + LEAST_COMPANY), cut to the main directions of X; 32 of them are as
    good as all on ml-latest-small. EASE takes from every pair what other films explain: with one to five films it
    has too little to say, and that films are popular together is then no fault.

    Args:
        rows: shape (people, films), what each thinks of each film.
        popularity: shape (films,), the sum of what people think of each.
    """
    directions, spectrum = main_directions(rows, rank)
    told = (COMPANY_GAIN / (popularity + LEAST_COMPANY))[:, None] * directions * spectrum**2
    return directions, told.astype(np.float32)
