"""What the evaluation says is what the service does: `make test-data`, on people the training has not seen."""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from fastapi.testclient import TestClient

import movie_pipeline
from backend import cli, database, generate_embeddings
from backend.config import Settings, get_settings
from backend.database import SessionLocal
from backend.embedded_postgres import EmbeddedPostgres
from backend.evaluation.data import Catalogue, Dataset, as_film, read_films, read_people
from backend.evaluation.learner import ServedLearner
from backend.evaluation.metrics import hits, ndcg
from backend.evaluation.served import Served
from backend.evaluation.splits import Cases, held_out
from backend.feedback.records import NewInteraction
from backend.feedback.store import record
from backend.main import create_app
from backend.ml.answer import Request
from backend.ml.artefact import open_current
from backend.ml.cache_store import stream_films
from backend.ml.embedding_recommender import EmbeddingRecommender
from backend.ml.file_cache import FileCache, build_cache, cache_folder
from backend.ml.film_table import Indexes
from backend.ml.people_store import Acts
from backend.ml.pgvector_recommender import vector_of
from backend.ml.training import train
from tests.conftest import make_database
from tests.test_commands import forget_settings
from tests.test_real_data import FOLDER, ON_REAL_DATA, run

ASKED = 100
LIST = 100

pytestmark = ON_REAL_DATA


class Service(NamedTuple):
    """An installation trained on four fifths of the people, and the others, who told it what they did."""

    client: TestClient
    settings: Settings
    training: Dataset
    cases: Cases


@pytest.fixture(scope="module")
def service(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The films by the commands, the training people by the store, the held-out ones over HTTP."""
    films = FOLDER / "movies_ml.jsonl.gz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", make_database(postgres))
        patch.setenv("DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setenv("TASTE_PACK", "none")
        patch.setattr(cli, "configure_logging", lambda settings: None)
        forget_settings()
        run(movie_pipeline.main, ["--from-file", str(films)])
        run(generate_embeddings.main, [])
        settings = get_settings()
        records = read_films(films)
        people = read_people(FOLDER / "ml-latest-small", records)
        catalogue = Catalogue(tuple(map(as_film, records)), stored_embeddings(settings))
        split = next(held_out(Dataset(catalogue, people), rounds=1, rng=np.random.default_rng(1)))
        cases = split.cases(np.random.default_rng(2))
        cases = Cases(cases.people[:ASKED], cases.given[:ASKED], cases.wanted[:ASKED])
        remember(split.training.people)
        train(settings)
        client = TestClient(create_app(settings))
        for number, acts in enumerate(cases.given):
            post(client, f"held out {number}", acts)
        yield Service(client, settings, split.training, cases)
        database.get_engine().dispose()
    forget_settings()


def stored_embeddings(settings: Settings) -> np.ndarray:
    """As the database has them, in the order of ids."""
    with SessionLocal() as session:
        return np.array(
            [vector_of(film["vector"]) for film in stream_films(session, model=settings.embedding_model)]
        )


def remember(people: tuple[Acts, ...]) -> None:
    """Store what the training people did."""
    for number, acts in enumerate(people):
        rows = [
            NewInteraction(
                f"known {number}", "rating", float(act["value"]), moment(act), int(act["movie_id"]), *[None] * 3
            )
            for act in acts
        ]
        with database.session_scope() as session:
            record(session, rows)


def moment(act: np.void) -> dt.datetime:
    """When it was done."""
    return dt.datetime.fromtimestamp(float(act["at"]), dt.UTC)


def post(client: TestClient, person: str, acts: Acts) -> None:
    """Tell the service what someone did."""
    items = [
        {"user_id": person, "movie_id": int(act["movie_id"]), "kind": "rating", "value": float(act["value"])}
        | {"at": moment(act).isoformat()}
        for act in acts
    ]
    for begin in range(0, len(items), 1000):
        answer = client.post("/interactions", json={"interactions": items[begin : begin + 1000]})
        assert answer.json()["rejected"] == []


def quality(service: Service, lists: Indexes) -> float:
    """The mean NDCG@10."""
    wanted = np.array([len(films) for films in service.cases.wanted])
    return float(np.nanmean(ndcg(hits(lists, service.cases.wanted), wanted, at=10)))


def places(service: Service, ids: list[list[int]]) -> Indexes:
    """Of lists of films by id."""
    return np.array([service.training.catalogue.places(np.array(row)) for row in ids])


def test_the_service_is_as_good_as_the_evaluation_says(service: Service) -> None:
    lab = Served(ServedLearner()).fit(service.training).rank(service.cases.given)
    asked = [
        service.client.get(f"/recommendations/held out {number}", params={"n": LIST, "diversity_boost": 0}).json()
        for number in range(len(service.cases))
    ]
    assert {answer["source"] for answer in asked} == {"pgvector"}
    served = places(service, [[row["id"] for row in answer["results"]] for answer in asked])
    expected = quality(service, lab)
    print(f"NDCG@10 over HTTP {quality(service, served):.4f}, in the evaluation {expected:.4f}")
    assert quality(service, served) == pytest.approx(expected, rel=0.01)


def test_without_the_database_the_file_cache_is_as_good(service: Service) -> None:
    build_cache(service.settings)
    cache = FileCache.open(open_current(cache_folder(service.settings)), model=service.settings.embedding_model)
    layer = EmbeddingRecommender(cache)
    request = Request(n=LIST)
    ids = [
        [row["id"] for row in layer.recommend(f"held out {number}", request).rows]
        for number in range(len(service.cases))
    ]
    lab = Served(ServedLearner()).fit(service.training).rank(service.cases.given)
    found, expected = quality(service, places(service, ids)), quality(service, lab)
    print(f"NDCG@10 of the file cache {found:.4f}, normal {expected:.4f}")
    assert found >= 0.9 * expected
    for seen, given in zip(ids, service.cases.given, strict=True):
        assert set(seen).isdisjoint(given["movie_id"].tolist())
