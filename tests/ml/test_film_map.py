"""The map of films: what is alike lies near, and the next night nobody has to look for it elsewhere."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from backend import database
from backend.config import Settings
from backend.ml import film_table, map_store
from backend.ml.film_map import ensure_map, is_wanting, lay_out
from backend.ml.map_store import Placed
from tests.ml.factors import tell, write_model

KINDS, A_KIND = 6, 20
IDS = np.arange(100, 100 + KINDS * A_KIND, dtype=np.int32)


def kinds() -> NDArray[np.float32]:
    """Films of some kinds, those of one kind much alike."""
    rng = np.random.default_rng(3)
    centres = np.repeat(rng.normal(scale=5, size=(KINDS, 12)), A_KIND, axis=0)
    return (centres + rng.normal(scale=0.5, size=centres.shape)).astype(np.float32)


def distances(places: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=2))


def test_what_is_alike_lies_near_each_other() -> None:
    places = lay_out(IDS, kinds(), None)
    assert places.shape == (len(IDS), 2)
    assert places.min() == 0
    assert places.max() == 1
    kind = np.arange(len(IDS)) // A_KIND
    nearest = np.argsort(distances(places), axis=1)[:, 1:6]
    assert (kind[nearest] == kind[:, None]).mean() > 0.95


def test_the_same_films_make_the_same_map() -> None:
    assert np.array_equal(lay_out(IDS, kinds(), None), lay_out(IDS, kinds(), None))


def test_the_next_map_is_neither_turned_nor_mirrored() -> None:
    first = lay_out(IDS, kinds(), None)
    rng = np.random.default_rng(4)
    moved = (kinds() + rng.normal(scale=0.2, size=(len(IDS), 12))).astype(np.float32)
    # Some films are new, some are gone, and they come in another order.
    order = rng.permutation(len(IDS))[10:]
    before = Placed(IDS[:-10], first[:-10])
    second = lay_out(IDS[order], moved[order], before)
    both = order < len(IDS) - 10
    shift = np.linalg.norm(second[both] - first[order[both]], axis=1)
    turned = np.linalg.norm(second[both] - (1 - first[order[both]]), axis=1)
    assert np.median(shift) < 0.1
    assert np.median(shift) < np.median(turned) / 3


def test_a_map_of_other_films_is_no_hindrance() -> None:
    before = Placed(np.array([1, 2], dtype=np.int32), np.array([[0, 0], [1, 1]], dtype=np.float32))
    assert np.array_equal(lay_out(IDS, kinds(), before), lay_out(IDS, kinds(), None))


def test_a_training_moves_the_map_once(
    catalogue_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "get_engine", lambda: catalogue_engine)
    settings = Settings(_env_file=None, data_dir=tmp_path)  # type: ignore[call-arg]
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM film_map")
    assert not is_wanting(settings)
    assert ensure_map(settings) == 0, "nothing was learned yet"
    write_model(settings)
    try:
        assert is_wanting(settings)
        assert ensure_map(settings) == 150
        assert ensure_map(settings) == 0
        assert not is_wanting(settings)
        with Session(catalogue_engine) as session:
            made = map_store.find_made(session)
            assert len(map_store.mapped_films(session, include_adult=False)["id"]) == 150
        write_model(settings)
        assert ensure_map(settings) == 150
        with Session(catalogue_engine) as session:
            assert map_store.find_made(session) != made
    finally:
        with Session(catalogue_engine) as session, session.begin():
            tell(session)


def test_a_training_that_another_version_wrote_is_no_hindrance(
    catalogue_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "get_engine", lambda: catalogue_engine)
    settings = Settings(_env_file=None, data_dir=tmp_path)  # type: ignore[call-arg]
    write_model(settings)
    monkeypatch.setattr(film_table, "SHAPE", "of tomorrow")
    assert not is_wanting(settings)
    assert ensure_map(settings) == 0
