"""Pending films to vectors: each text once, whatever happens meanwhile."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from backend.catalog.records import MovieRecord
from backend.catalog.store import upsert
from backend.ml.answer import Request
from backend.ml.embeddings import CLAIM, embed_pending, embedding_coverage
from backend.ml.encoder import Encoder
from backend.ml.pgvector_recommender import PgvectorConfig, PgvectorRecommender
from tests.catalogue import TOY_STORY, small_catalogue

ROOT = Path(__file__).parents[2]
Vectors = NDArray[np.float32]


class Observed(Encoder):
    """The real encoder, which notes its texts and lets something happen in between."""

    def __init__(self, encoder: Encoder, meanwhile: Callable[[int], None] = lambda batch: None) -> None:
        self.config = encoder.config
        self.texts: list[str] = []
        self._encoder = encoder
        self._batches = 0
        self._meanwhile = meanwhile

    def encode(self, texts: Sequence[str]) -> Vectors:
        self._batches += 1
        self._meanwhile(self._batches)
        self.texts += texts
        return self._encoder.encode(texts)


def fill(engine: Engine, films: Sequence[MovieRecord]) -> None:
    """Put films into the catalogue, not embedded."""
    with Session(engine) as session, session.begin():
        upsert(session, films, source="file")


def vectors(engine: Engine) -> dict[int, tuple[str, str]]:
    """Each film's vector and the time-stamp of its row."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, embedding::text, ctid::text FROM movies")).all()
    return {row.id: (row.embedding, row.ctid) for row in rows}


def run_sql(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_everything_that_waits_is_embedded_once(own_engine: Engine, encoder: Encoder) -> None:
    films = small_catalogue()[:30]
    fill(own_engine, films)
    observed = Observed(encoder)
    assert embed_pending(observed) == len(films)
    assert len(observed.texts) == len(films)
    assert embedding_coverage(encoder.config.model).percentage == 100.0
    assert embed_pending(observed) == 0
    assert len(observed.texts) == len(films)


def test_each_vector_is_that_of_its_own_text(own_engine: Engine, encoder: Encoder) -> None:
    fill(own_engine, small_catalogue()[:20])
    fill(own_engine, [MovieRecord(id=1, title="Toy Story", overview="Toys live.", genres=["Animation"])])
    embed_pending(encoder)
    statement = text("SELECT embedding_text(m), vector_send(embedding) FROM movies m ORDER BY id")
    with own_engine.connect() as connection:
        texts, sent = zip(*connection.execute(statement), strict=True)
    assert texts[0] == "Toy Story | Toys live. | Animation"
    found = np.stack([np.frombuffer(vector, dtype=">f4", offset=4) for vector in sent])
    assert found == pytest.approx(encoder.encode(texts), abs=1e-5)


def test_a_changed_overview_is_embedded_again_and_nothing_else(own_engine: Engine, encoder: Encoder) -> None:
    fill(own_engine, small_catalogue()[:20])
    embed_pending(encoder)
    before = vectors(own_engine)
    run_sql(own_engine, "UPDATE movies SET overview = 'A toy is lost.' WHERE id = 862")
    observed = Observed(encoder)
    assert embed_pending(observed) == 1
    assert "A toy is lost." in observed.texts[0]
    after = vectors(own_engine)
    assert after.pop(TOY_STORY)[0] != before.pop(TOY_STORY)[0]
    assert after == before


def test_an_interrupt_costs_one_batch_and_the_next_run_finishes(own_engine: Engine, encoder: Encoder) -> None:
    def interrupt(batch: int) -> None:
        if batch == 2:
            raise KeyboardInterrupt

    fill(own_engine, small_catalogue())
    with pytest.raises(KeyboardInterrupt):
        embed_pending(Observed(encoder, interrupt))
    assert embedding_coverage(encoder.config.model).with_embeddings == CLAIM
    observed = Observed(encoder)
    assert embed_pending(observed) == len(small_catalogue()) - CLAIM
    assert embedding_coverage(encoder.config.model).pending == 0


def test_a_text_that_changes_while_it_is_encoded_is_encoded_again(own_engine: Engine, encoder: Encoder) -> None:
    change = "UPDATE movies SET overview = 'Changed meanwhile.' WHERE id = 1"
    writer = threading.Thread(target=run_sql, args=(own_engine, change))

    def meanwhile(batch: int) -> None:
        if batch == 1:
            writer.start()

    fill(own_engine, [MovieRecord(id=1, title="A film")])
    observed = Observed(encoder, meanwhile)
    embed_pending(observed)
    writer.join()
    embed_pending(observed)
    assert observed.texts == ["A film |  | ", "A film | Changed meanwhile. | "]
    assert embedding_coverage(encoder.config.model).pending == 0


WORKER = """
import os, sys, time, zlib
from pathlib import Path
import numpy as np
from backend.ml.embeddings import embed_pending
from backend.ml.encoder import EncoderConfig

me, other = Path(sys.argv[1]), Path(sys.argv[2])

class Encoder:
    config = EncoderConfig(model="stand-in")
    def encode(self, texts):
        with me.open("a") as log:
            log.writelines(text + "\\n" for text in texts)
        deadline = time.monotonic() + 60
        while not other.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        places = [zlib.crc32(text.encode()) % 384 for text in texts]
        return np.eye(384, dtype=np.float32)[places]

embed_pending(Encoder())
"""
"""A process that embeds, with an encoder that waits in its first batch until the other has one too."""


def test_two_processes_at_once_encode_each_text_once_and_both_some(own_engine: Engine, tmp_path: Path) -> None:
    fill(own_engine, [MovieRecord(id=number, title=f"Film {number}") for number in range(1, 601)])
    logs = [tmp_path / "one", tmp_path / "other"]
    environment = os.environ | {"DATABASE_URL": own_engine.url.render_as_string(hide_password=False)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(mine), str(its)], cwd=ROOT, env=environment, stderr=subprocess.PIPE
        )
        for mine, its in (logs, logs[::-1])
    ]
    errors = [worker.communicate(timeout=120)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    encoded = [log.read_text().splitlines() for log in logs]
    assert all(encoded)
    assert sorted(encoded[0] + encoded[1]) == sorted(f"Film {number} |  | " for number in range(1, 601))
    assert embedding_coverage("stand-in").percentage == 100.0


def test_vectors_of_two_models_never_stand_in_one_answer(catalogue: Session) -> None:
    catalogue.execute(text("UPDATE movies SET embedding_model = 'another' WHERE id % 2 = 0 AND id <> 862"))
    others = set(catalogue.scalars(text("SELECT id FROM movies WHERE embedding_model = 'another'")))
    recommender = PgvectorRecommender(catalogue)
    for boost in (0.0, 1.0):
        answer = recommender.similar(TOY_STORY, Request(n=100, diversity_boost=boost, by="embedding"))
        assert answer.source == "pgvector"
        assert answer.rows
        assert others.isdisjoint(row["id"] for row in answer.rows)
    other = PgvectorRecommender(catalogue, PgvectorConfig(model="another"))
    answer = other.similar(TOY_STORY, Request(n=10, by="embedding"))
    assert answer.source == "popular"
