"""EASE with facts beside the people, folded into two vectors a film, and never written out film by film."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

Floats = NDArray[np.float32]

RIDGE = 80.0
"""λ of EASE; 50 and 100 are as good as each other once facts stand beside the people, 200 is worse."""
DROPOUT = 0.25
"""How much a film's own weight adds to its λ (EDLAE, Steck 2020); 0.5 costs 0.7 % of NDCG@10, 1 another 1 %."""
SIDE_WEIGHT = 4.0
"""How loud facts are beside people; 3 to 6 are alike, 1 and 10 are worse."""
SIDE_POPULARITY = 0.4
"""Facts of a film weigh by its popularity to this power, as its column of people does: +1 % NDCG@10 over 0."""
SIDE_IN_CUT = 0.1
"""How much the cut to a rank minds what follows from facts alone, beside what people are expected to like."""
SHORT_HISTORY = 5.0
"""Someone whose weights sum to this counts half of someone of whom very much is known."""
MOST_ROWS = 1024
"""Of people; more are condensed into so many rows that say nearly the same."""
MOST_NUMBERS = 40_000_000
"""Of people × films: 160 MB; where there are more films, fewer rows of people are kept."""
POWER_ITERATIONS = 3
CUTS = 4
"""Times that the rank is chosen anew, as `item_space` has it: +1.3 % NDCG@10 over once; more brings nothing."""


@dataclass(frozen=True)
class ItemSpace:
    """One who liked film i is a sum over p_i; film j is found by q_j."""

    p: Floats
    q: Floats
    """Both shape (films, rank)."""
    together: Floats
    """Shape (films, rank): films are liked together where rows point the same way."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What there is to learn from; any row may be of a person, or of one who stands for many."""

    rows: Floats
    """Shape (rows, films): what each thinks of each film, of either sign; 0 for unknown."""
    inputs: Floats
    """Shape (any, films): whose expected likes the cut to a rank has to keep."""
    popularity: Floats
    """Shape (films,): the sum of what people think of each film, >= 0."""
    squares: Floats
    """Shape (films,): the sum of its squares."""
    side: Floats
    """Shape (films, features): what is known about each film, rows about unit length."""
    guesses: Floats
    """Shape (any, films): what a map from facts expects people to think; rows that count like people's."""


class Solver:
    """EASE's weights B = I - P·diag(1 / diag P), P = (Z'Z + Λ)⁻¹, applied without ever being written down.

    Z has far fewer rows than columns, so P is Λ⁻¹ - Λ⁻¹Z'(I + ZΛ⁻¹Z')⁻¹ZΛ⁻¹ (Woodbury): rows × films numbers in
    place of films × films. (Steck 2019; facts as further rows of Z: Jeunen, Van Balen & Goethals 2020.)
    """

    def __init__(self, rows: Floats, ridge: Floats) -> None:
        self.ridge = ridge
        self.scaled = rows / ridge
        gram = (self.scaled @ rows.T).astype(np.float64)
        gram[np.diag_indices(len(gram))] += 1
        self.solved = (np.linalg.inv(gram).astype(np.float32)) @ self.scaled
        self.diagonal = 1 / ridge - np.einsum("rf,rf->f", self.scaled, self.solved)

    def people(self, rows: Floats) -> Floats:
        """rows·B, shape (rows, films): what each row is expected to like."""
        product = rows / self.ridge - (rows @ self.scaled.T) @ self.solved
        expected: Floats = rows - product / self.diagonal
        return expected

    def films(self, columns: Floats) -> Floats:
        """B·columns, shape (films, columns)."""
        divided = columns / self.diagonal[:, None]
        product: Floats = columns - divided / self.ridge[:, None] + self.scaled.T @ (self.solved @ divided)
        return product


def item_space(evidence: Evidence, *, rank: int) -> ItemSpace:
    """Collective EASE, cut to a rank where people's expected likes vary most.

    What a film says about itself is never asked for, so that part of the weights, their diagonal, is free: it
    becomes what the cut makes of it, and the next cut is all for the rest (as communalities in factor analysis).
    Where there are fewer people or films than `rank`, the rest is zeros.
    """
    popularity = (evidence.popularity + 1) / (evidence.popularity + 1).mean()
    side = (evidence.side * popularity[:, None] ** SIDE_POPULARITY).T.astype(np.float32)
    ridge = (RIDGE + DROPOUT * evidence.squares).astype(np.float32)
    solver = Solver(np.vstack([evidence.rows, SIDE_WEIGHT * side, evidence.guesses]), ridge)
    inputs = np.vstack([evidence.inputs, side])
    expected = solver.people(inputs)
    told, from_facts = np.split(expected, [len(evidence.inputs)])
    length = np.linalg.norm(from_facts)
    loudness = SIDE_IN_CUT * np.linalg.norm(told) / length if length > 0 else 0.0
    for rows in (inputs, expected):
        rows[len(told) :] *= loudness
    p, directions, spectrum = _cut(solver, expected, rank)
    # What a film says of itself would tell it from others that the same people like.
    together = directions * spectrum
    for _ in range(CUTS - 1):
        own = np.einsum("fr,fr->f", p, directions)
        p, directions, _ = _cut(solver, expected + inputs * own, rank, own=own)
    return ItemSpace(p=p, q=directions, together=together)


def _cut(
    solver: Solver, expected: Floats, rank: int, *, own: Floats | float = 0.0
) -> tuple[Floats, Floats, Floats]:
    """p, q and the spectrum of the weights with these in their diagonal."""
    directions, spectrum = main_directions(expected, rank)
    p = solver.films(directions) + np.reshape(own, (-1, 1)) * directions
    return p.astype(np.float32), directions, spectrum


def condensed(matrix: csr_array, *, rng: np.random.Generator, most: int | None = None) -> Floats:
    """Dense rows R whose R'R is the matrix's own, or where it has too many rows very nearly so.

    A randomised range finder (Halko, Martinsson & Tropp 2011): R = Q'X of an orthonormal Q that spans the main
    directions of X's columns.

    Args:
        most: how many rows; left out, as many of people as memory allows.
    """
    people, films = matrix.shape
    if most is None:
        most = max(1, min(MOST_ROWS, MOST_NUMBERS // max(films, 1)))
    single = matrix.astype(np.float32)
    if people <= most:
        return np.asarray(single.toarray(), dtype=np.float32)
    span = np.linalg.qr(single @ rng.standard_normal((films, most), dtype=np.float32)).Q
    for _ in range(POWER_ITERATIONS):
        across = np.linalg.qr(single.T @ span).Q
        span = np.linalg.qr(single @ across).Q
    return np.ascontiguousarray((single.T @ span).T)


def equal_people(matrix: csr_array) -> csr_array:
    """Each person's weights summing to nearly 1: the cut to a rank is not made for the busiest, +2 % at 128.

    Of whom little is known, less: one film would be a direction of its own.
    """
    totals = np.asarray(matrix.sum(axis=1))
    return csr_array(diags_array(1 / (totals + SHORT_HISTORY)) @ matrix)


def main_directions(rows: Floats, rank: int) -> tuple[Floats, Floats]:
    """The right singular vectors, shape (columns, rank), of signs that two machines agree on; and their values."""
    gram = (rows @ rows.T).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    kept = values[::-1][:rank]
    kept = kept[kept > max(values[-1], 0) * 1e-7]
    main = rows.T @ (vectors[:, ::-1][:, : len(kept)] / np.sqrt(kept)).astype(np.float32)
    directions, spectrum = np.zeros((rows.shape[1], rank), dtype=np.float32), np.zeros(rank, dtype=np.float32)
    if len(kept):
        signs = np.where(main[np.abs(main).argmax(axis=0), np.arange(len(kept))] < 0, -1, 1)
        directions[:, : len(kept)], spectrum[: len(kept)] = main * signs, np.sqrt(kept)
    return directions, spectrum
