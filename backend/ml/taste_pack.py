"""Taste learned from a crowd that is not here: a few pseudo people who think of films what the crowd thinks.

A crowd is condensed to the leading rows of its singular value decomposition. Stacked on top of the installation's
own people they are training data like any other, so no constant says how much the pack counts: the more people
there are here, the less it does. None of them is a person, and there are never more of them however large the
crowd was. What they would think of a film that the crowd does not know, the learned map says.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from backend.errors import LayerUnavailableError
from backend.ml.fold_in import active_people, support_of
from backend.ml.placing import Film, Floats, Placing, learn_placing

PSEUDO_PEOPLE = 128
"""On ml-latest-small they are worth as much as the 610 people themselves; 64 lose 2 %."""
LEAST_SUPPORT = 2
"""Films that fewer of the crowd rated are left to the map: as good, and the pack is smaller by a third."""
PLACED_GAIN = 1.15
"""The map is cautious: films that it has placed take 13 % of the top hundred with this, 19 % with 1.5, where 9 %
of all ratings were theirs before they were hidden; the accuracy is the same."""
PLACED_SUPPORT = 10.0
"""By so many ratings, the map and a film's own ratings have the same say."""

FILE = "taste.npz"
LICENCE = "LICENSE"
MOVIELENS_TERMS = """\
This folder holds a transformation of the MovieLens data set ml-latest-small (GroupLens, University of Minnesota;
https://grouplens.org/datasets/movielens/). It is NOT covered by the licence of the software beside it, but by the
conditions of that data set, under which it is redistributed:

Neither the University of Minnesota nor any of the researchers involved can guarantee the correctness of the data,
its suitability for any particular purpose, or the validity of results based on the use of the data set. The data
set may be used for any research purposes under the following conditions:

- The user may not state or imply any endorsement from the University of Minnesota or the GroupLens Research Group.
- The user must acknowledge the use of the data set in publications resulting from the use of the data set.
- The user may redistribute the data set, including transformations, so long as it is distributed under these same
  license conditions.
- The user may not use this information for any commercial or revenue-bearing purposes without first obtaining
  permission from a faculty member of the GroupLens Research Project at the University of Minnesota.
- The executable software scripts are provided "as is" without warranty of any kind, either expressed or implied,
  including, but not limited to, the implied warranties of merchantability and fitness for a particular purpose.
  The entire risk as to the quality and performance of them is with you. Should the program prove defective, you
  assume the cost of all necessary servicing, repair or correction.

In no event shall the University of Minnesota, its affiliates or employees be liable to you for any damages arising
out of the use or inability to use these programs (including but not limited to loss of data or data being rendered
inaccurate).

Citation: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM
Transactions on Interactive Intelligent Systems (TiiS) 5, 4: 19:1-19:19. https://doi.org/10.1145/2827872

The map in it was learned from facts about films that come from TMDB. This product uses the TMDB API but is not
endorsed or certified by TMDB.

For commercial use, set TASTE_PACK=none.
"""


@dataclass(frozen=True)
class TastePack:
    """What a crowd thinks, in a few pseudo people, and how to tell what they would think of any film."""

    film_ids: NDArray[np.int32]
    """Ascending TMDB ids of the films that the crowd rated often enough."""
    opinions: Floats
    """Shape (pseudo people, films), of either sign."""
    support: NDArray[np.int32]
    """By film: how many of the crowd rated it."""
    popularity: Floats
    """By film: the sum of what the crowd thinks of it."""
    people: int
    """How many the crowd was."""
    placing: Placing
    """From facts and embedding to the opinions of the pseudo people."""

    def over(self, film_ids: NDArray[np.int32]) -> "Opinions":
        """What the crowd thinks of these films, in any order; nothing of those that it does not know."""
        where = np.searchsorted(self.film_ids, film_ids)
        where[where == len(self.film_ids)] = 0
        here = self.film_ids[where] == film_ids
        return Opinions(
            np.where(here, self.opinions[:, where], 0.0).astype(np.float32),
            np.where(here, self.support[where], 0),
            np.where(here, self.popularity[where], 0.0).astype(np.float32),
        )


class Opinions(NamedTuple):
    """A pack laid over a catalogue."""

    rows: Floats
    """Shape (pseudo people, films)."""
    support: NDArray[np.int64]
    popularity: Floats


def learn_pack(
    film_ids: NDArray[np.int32], matrix: csr_array, *, films: Sequence[Film], embeddings: Floats
) -> TastePack:
    """Condense a crowd.

    Args:
        film_ids: ascending.
        matrix: shape (people, films), what each thinks of each film, 0 for unknown.
        films: in the order of `film_ids`, with the columns of `movies` as keys.
        embeddings: shape (films, dimensions), zeros where there is none.
    """
    support = support_of(matrix)
    known = np.flatnonzero(support >= LEAST_SUPPORT)
    opinions = condense(csr_array(matrix[:, known]))
    placing = learn_placing([films[row] for row in known.tolist()], embeddings[known], opinions.T)
    people = len(active_people(matrix))
    popularity = np.asarray(matrix.sum(axis=0), dtype=np.float32)[known]
    return TastePack(film_ids[known], opinions, support[known].astype(np.int32), popularity, people, placing)


def condense(matrix: csr_array) -> Floats:
    """The pseudo people of a crowd: S V' of its truncated singular value decomposition, of fixed signs.

    Their co-opinions (rows' @ rows) are the best approximation of the crowd's by so few.
    """
    count = min(PSEUDO_PEOPLE, *matrix.shape)
    exact = matrix.astype(np.float64)
    if count == min(matrix.shape):
        _, sizes, rows = np.linalg.svd(exact.toarray(), full_matrices=False)
    else:
        _, sizes, rows = svds(exact, k=count, v0=np.ones(min(matrix.shape)))
        sizes, rows = sizes[::-1], rows[::-1]
    loudest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1, keepdims=True), axis=1)
    opinions: Floats = (sizes[:, None] * rows * np.sign(loudest)).astype(np.float32)
    return opinions


def trust_in_place(support: NDArray[np.int64]) -> Floats:
    """How much of what the map says is added to what people say, by the number of people who said something."""
    trust: Floats = (PLACED_GAIN * PLACED_SUPPORT / (PLACED_SUPPORT + support)).astype(np.float32)
    return trust


def write_pack(pack: TastePack, folder: Path, *, terms: str) -> None:
    """Write a pack and the terms it is under; `MOVIELENS_TERMS` for what was learned from ml-latest-small."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LICENCE).write_text(terms, "utf-8")
    arrays: dict[str, Any] = {
        "film_ids": pack.film_ids,
        "opinions": pack.opinions.astype(np.float16),
        "support": pack.support,
        "popularity": pack.popularity,
        "people": np.array(pack.people),
        **pack.placing.to_arrays(),
    }
    np.savez_compressed(folder / FILE, **arrays)


def read_pack(folder: Path) -> TastePack:
    """What `write_pack` wrote. Raises LayerUnavailableError where it is missing or damaged."""
    try:
        with (folder / FILE).open("rb") as file, np.load(file) as written:
            arrays = dict(written)
        opinions, people = arrays["opinions"].astype(np.float32), int(arrays["people"])
        placing = Placing.from_arrays(arrays)
        return TastePack(arrays["film_ids"], opinions, arrays["support"], arrays["popularity"], people, placing)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise LayerUnavailableError(f"there is no readable taste pack in {folder}") from error
