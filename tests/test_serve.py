"""`python -m backend serve` as it is run: a process, a port, an embedded server, and whatever ends them."""

import datetime as dt
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from sqlalchemy import create_engine, text

from backend.embedded_postgres import EmbeddedPostgres
from backend.operations.hours import JOBS
from tests.test_embedded_postgres import eventually, is_stopped, postmaster, temporary_home

ROOT = Path(__file__).parents[1]
FILMS = [
    {"id": 862, "title": "Toy Story", "overview": "Toys come to life.", "genres": ["Animation"]},
    {"id": 863, "title": "Toy Story 2", "overview": "Toys come to life again.", "genres": ["Animation"]},
    {"id": 238, "title": "The Godfather", "overview": "A family of criminals.", "genres": ["Crime"]},
    {"id": 240, "title": "The Godfather Part II", "overview": "The family goes on.", "genres": ["Crime"]},
]
STATE = """
    SELECT 'movies', id, ctid::text FROM movies UNION ALL
    SELECT 'interactions', movie_id, ctid::text FROM interactions UNION ALL
    SELECT 'measurements', id, ctid::text FROM index_measurements ORDER BY 1, 2
"""
BACK_WITHIN = 5
"""Seconds: the promise once the server is back after a kill."""


class Service:
    """A running service and what it printed."""

    def __init__(self, process: "subprocess.Popen[str]", line: str, data: Path) -> None:
        self.process = process
        self.line = line
        self.postgres = data / "postgres"
        self.address = line.removeprefix("Marquee is ready at ").split("/?")[0].split(" ")[0]

    def ask(self, path: str, **options: Any) -> requests.Response:
        """A GET."""
        return requests.get(self.address + path, timeout=10, **options)

    def similar(self) -> list[int]:
        """What is similar to Toy Story."""
        response = self.ask("/similar/862")
        assert response.status_code == 200, response.text
        return [row["id"] for row in response.json()["results"]]

    def like(self, person: str, film: int) -> None:
        """Store an interaction."""
        body = {"user_id": person, "movie_id": film, "kind": "like"}
        response = requests.post(f"{self.address}/interactions", json=body, timeout=10)
        assert response.status_code == 200, response.text

    def has_scheduler(self) -> bool:
        """Whether there is one."""
        return bool(self.ask("/jobs").json()["scheduler_running"])

    def state(self) -> list[tuple[Any, ...]]:
        """Where every row lies: another place after any write."""
        engine = create_engine(EmbeddedPostgres(self.postgres).url())
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(text(STATE))]
        engine.dispose()
        return rows

    def end(self, number: signal.Signals) -> str:
        """Ask it to end; what it still printed."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[0]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A DATA_DIR with a handful of films in its catalogue."""
    with temporary_home() as home:
        load(home, FILMS)
        assert is_stopped(home / "data" / "postgres")
        yield home / "data"


def load(home: Path, films: list[dict[str, Any]]) -> None:
    """Put films into the catalogue, without embeddings."""
    file = home / "films.jsonl"
    file.write_text("\n".join(map(json.dumps, films)))
    command = [sys.executable, "movie_pipeline.py", "--from-file", str(file)]
    subprocess.run(command, cwd=ROOT, env=environment(home / "data"), check=True, capture_output=True)


def environment(data: Path, **more: str) -> dict[str, str]:
    """Nothing of this run's own databases, any free port, and no job that falls due while the test runs."""
    foreign = {"TMDB_API_KEY", "DATABASE_URL", "API_KEYS", "ADMIN_KEY", "HOST", "ROOT_PATH"}
    inherited = {name: value for name, value in os.environ.items() if name not in foreign}
    hour = str((dt.datetime.now().astimezone().hour + 12) % 24)
    hours = {f"{job.upper()}_HOUR": hour for job in JOBS}
    nowhere = {"TMDB_BASE_URL": "http://127.0.0.1:9"}
    return inherited | hours | nowhere | {"DATA_DIR": str(data), "PORT": "0"} | more


@contextmanager
def serving(data: Path, *options: str, **more: str) -> Iterator[Service]:
    """The service from the line that says where until the end of the block."""
    log = data.parent / "service.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "backend", "serve", *options],
            cwd=ROOT,
            env=environment(data, **more),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("Marquee is ready at "), log.read_text()
        yield Service(process, line, data)
    finally:
        process.kill()
        process.communicate()


def test_it_says_where_it_is_answers_ends_in_order_and_redoes_nothing(data: Path) -> None:
    with serving(data, LOG_FORMAT="json") as service:
        assert re.fullmatch(r"Marquee is ready at http://127\.0\.0\.1:[1-9][0-9]+", service.line)
        eventually(lambda: service.ask("/health/ready").status_code == 200, "it is warm")
        assert service.similar()[0] == 863
        assert service.ask("/stats").json()["coverage_percentage"] == 100.0
        service.like("anna", 862)
        before = service.state()
        eventually(service.has_scheduler, "there is a scheduler beside it")
        say_nonsense(service)
        assert service.end(signal.SIGINT) == "Marquee has stopped.\n"
        assert service.process.returncode == 0
        assert is_stopped(service.postgres)
    # Its own lines, its scheduler's and its libraries'.
    told = [json.loads(line) for line in (data.parent / "service.log").read_text().splitlines()]
    assert {"index", "layer_opened", "Invalid HTTP request received."} <= {line["event"] for line in told}
    with serving(data) as service:
        assert service.state() == before
        assert service.ask("/recommendations/anna").json()["results"][0]["id"] == 863
        assert service.end(signal.SIGTERM) == "Marquee has stopped.\n"
        assert service.process.returncode == 0
        assert is_stopped(service.postgres)


def test_where_the_port_is_taken_it_ends_with_an_error(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [
            sys.executable,
            "-m",
            "backend",
            "serve",
            "--no-scheduler",
            "--port",
            str(taken.getsockname()[1]),
        ]
        ended = subprocess.run(
            command, cwd=ROOT, env=environment(data), capture_output=True, text=True, timeout=60
        )
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr
    assert re.search(
        r"^error: Can't listen on 127\.0\.0\.1:\d+: choose another PORT\.$", ended.stderr, re.MULTILINE
    )
    assert "Traceback" not in ended.stderr


def say_nonsense(service: Service) -> None:
    """What is no HTTP: of that the server speaks through the standard library."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"no such thing\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_neither_a_killed_service_nor_a_killed_server_loses_a_row(data: Path) -> None:
    with serving(data) as service:
        service.like("bert", 238)
        before = service.state()
        eventually(service.has_scheduler, "there is a scheduler beside it")
        service.end(signal.SIGKILL)
        # The scheduler notices that it is alone, and ends in order.
        eventually(lambda: is_stopped(service.postgres), "the last one stops the server")
    with serving(data) as service:
        assert service.state() == before
        service.like("bert", 240)
        killed = postmaster(service.postgres)
        killed.kill()
        eventually(lambda: answers_beside_another(service, killed), "there is another server")
        since = time.monotonic()
        eventually(
            lambda: service.ask("/similar/862").json()["source"] == "pgvector", "the database answers again"
        )
        assert time.monotonic() - since < BACK_WITHIN
        assert {row["id"] for row in service.ask("/recommendations/bert").json()["results"]} == {863, 862}
        assert len(service.state()) == len(before) + 1
        service.end(signal.SIGINT)
        assert is_stopped(service.postgres)


def test_a_scheduler_that_dies_is_started_again_and_ends_with_the_service(data: Path) -> None:
    with serving(data) as service:
        eventually(service.has_scheduler, "there is a scheduler")
        (killed,) = schedulers(service)
        killed.kill()
        killed.wait()
        eventually(lambda: bool(schedulers(service)) and service.has_scheduler(), "there is another")
        (other,) = schedulers(service)
        assert other.pid != killed.pid
        service.end(signal.SIGTERM)
        assert not other.is_running()
        assert is_stopped(service.postgres)
    assert "Traceback" not in (data.parent / "service.log").read_text()


def test_told_so_it_starts_no_scheduler_and_says_once_whose_taste_it_starts_from(data: Path) -> None:
    with serving(data, "--no-scheduler", TASTE_PACK="movielens-small") as service:
        log = (data.parent / "service.log").read_text()
        assert log.count("not for commercial use: set TASTE_PACK=none") == 1
        assert service.ask("/jobs").json()["scheduler_running"] is False
        assert schedulers(service) == []
        service.end(signal.SIGINT)


def schedulers(service: Service) -> list[psutil.Process]:
    """The schedulers that the service has started."""
    children = psutil.Process(service.process.pid).children()
    return [child for child in children if "scheduler" in child.cmdline()]


def answers_beside_another(service: Service, killed: psutil.Process) -> bool:
    """Whether there is a new server; without one the service answers as well."""
    response = service.ask("/similar/862")
    assert response.status_code == 200, response.text
    return EmbeddedPostgres(service.postgres).is_running() and postmaster(service.postgres).pid != killed.pid


def test_the_first_films_are_waited_for_and_later_ones_are_embedded_beside_the_answers() -> None:
    def coverage(service: Service) -> float:
        return float(service.ask("/stats").json()["coverage_percentage"])

    with temporary_home() as home:
        load(home, FILMS[:2])
        with serving(home / "data") as service:
            assert coverage(service) == 100
            load(home, FILMS[2:3])
            eventually(lambda: coverage(service) == 100, "what comes meanwhile is not embedded")
            service.end(signal.SIGINT)
        load(home, FILMS[3:])
        with serving(home / "data") as service:
            eventually(lambda: coverage(service) == 100, "what came before is not embedded")
            service.end(signal.SIGINT)


def test_beyond_loopback_nobody_comes_in_without_the_key_in_the_link(data: Path) -> None:
    with serving(data, HOST="0.0.0.0") as service:
        found = re.fullmatch(r"Marquee is ready at http://127\.0\.0\.1:[0-9]+/\?key=(\S{20,})", service.line)
        assert found is not None
        key = found[1]
        assert service.ask("/similar/862").status_code == 401
        assert service.ask("/similar/862", headers={"X-API-Key": key}).status_code == 200
        assert service.ask("/similar/862", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert service.ask(f"/?key={key}").status_code == 200
        eventually(lambda: service.ask("/health/ready").status_code == 200, "health needs no key")
        service.end(signal.SIGINT)
    assert (data / "api_key").stat().st_mode & 0o077 == 0
    assert key not in (data.parent / "service.log").read_text()
