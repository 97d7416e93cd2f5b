"""The harness reads what the service would hold."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from backend.catalog.records import MovieRecord, parse_record
from backend.catalog.store import upsert
from backend.errors import UsageError
from backend.evaluation.data import as_film, load, read_films, read_people
from backend.evaluation.vectors import embedding_text, embeddings_of
from backend.ml.film_table import DETAIL
from backend.models import Movie
from tests.evaluation.world import catalogue_of, people_of, write_world

TEXTS = [
    MovieRecord(
        id=1, title="All", overview=" Told. ", genres=["Drama", "War"], directors=["D"], release_year=1990
    ),
    MovieRecord(id=2, title="Facts", directors=["D", "E"], actors=["A"], release_year=1990, keywords=["k", "l"]),
    MovieRecord(id=3, title="Blank", overview="   ", keywords=["k"]),
    MovieRecord(id=4, title="Bare"),
]


def test_a_world_in_files_is_read_as_it_was_written(tmp_path: Path) -> None:
    movielens, films = write_world(tmp_path)
    records = read_films(films)
    assert [record.id for record in records] == catalogue_of().ids.tolist()
    read = read_people(movielens, records)
    for acts, written in zip(read, people_of(), strict=True):
        assert acts[["movie_id", "kind", "value"]].tolist() == written[["movie_id", "kind", "value"]].tolist()


def test_of_two_ratings_of_one_film_the_newer_counts(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text(
        "movieId,imdbId,tmdbId\n1,0000001,10\n2,0000002,10\n3,0000003,\n4,0000004,99\n"
    )
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,2.0,200\n1,2,5.0,300\n1,3,3.0,100\n1,4,4.0,100\n2,4,4.0,1\n"
    )
    films = [MovieRecord(id=10, title="Ten"), MovieRecord(id=20, title="Twenty", imdb_id="tt0000003")]
    (acts,) = read_people(tmp_path, films)
    assert acts[["movie_id", "value", "at"]].tolist() == [(20, 3.0, 100.0), (10, 5.0, 300.0)]


def test_a_film_is_what_the_layers_are_made_of() -> None:
    assert set(DETAIL) | {"adult", "quality"} <= set(as_film(MovieRecord(id=1, title="One")))


def test_without_votes_nothing_tells_how_many_voted() -> None:
    films = catalogue_of().without_votes().films
    assert {
        film["vote_count"] + film["popularity"] + film["quality"] + film["vote_average"] for film in films
    } == {0}


def test_the_text_that_is_embedded_is_that_of_the_database(session: Session) -> None:
    upsert(session, TEXTS, source="file")
    statement = select(Movie.id, func.embedding_text(text("movies")).label("text")).order_by(Movie.id)
    assert [row.text for row in session.execute(statement)] == [embedding_text(film) for film in TEXTS]


def test_embeddings_are_made_once_for_the_same_texts(tmp_path: Path) -> None:
    made = embeddings_of(TEXTS, cache=tmp_path)
    assert np.linalg.norm(made, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    (kept,) = tmp_path.iterdir()
    np.save(kept, made * 2)
    assert (embeddings_of(TEXTS, cache=tmp_path) == made * 2).all()
    embeddings_of(TEXTS[:3], cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_ratings_of_other_films_than_those_given_are_wrong_usage(tmp_path: Path) -> None:
    movielens, films = write_world(tmp_path)
    films.write_text(json.dumps({"id": 7, "title": "Unrated"}) + "\n" + json.dumps({"title": "without an id"}))
    assert [asdict(film) for film in read_films(films)] == [asdict(parse_record({"id": 7, "title": "Unrated"}))]
    with pytest.raises(UsageError, match="No rating"):
        load(movielens, films, cache=tmp_path)
