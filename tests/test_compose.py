"""`docker compose up`, as far as it can be told without Docker.

The compose file against the specification's schema, the files against each other and against the code, and the
containers' start commands as local processes: in a folder that holds what the image holds, with the environment
that they get.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
import requests
from ruamel.yaml import YAML
from sqlalchemy.engine import make_url

from backend.__main__ import build_parser
from backend.config import Settings
from backend.embedded_postgres import DATABASE, POSTGRES_VERSION, EmbeddedPostgres
from tests.conftest import make_database
from tests.test_embedded_postgres import eventually
from tests.test_serve import FILMS

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
INNERMOST = re.compile(r"\$\{(\w+):-([^${}]*)\}")
OURS = ("api", "scheduler")
PASSWORD = "p@ss/w:rd#?%40'"


# Reading the two files


def resolved(value: Any, variables: Mapping[str, str]) -> Any:
    """What Compose makes of `${NAME:-default}`; any other reference is left, and found by the tests."""
    if isinstance(value, dict):
        return {key: resolved(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, variables) for inner in value]
    while isinstance(value, str) and INNERMOST.search(value):
        value = INNERMOST.sub(lambda found: variables.get(found[1]) or found[2], value)
    return value


def compose(**variables: str) -> dict[str, Any]:
    """The compose file where these variables are set."""
    loaded: dict[str, Any] = resolved(YAML(typ="safe").load(COMPOSE), variables)
    return loaded


def service(name: str, **variables: str) -> dict[str, Any]:
    """One of its services."""
    found: dict[str, Any] = compose(**variables)["services"][name]
    return found


class Instruction(NamedTuple):
    """A line of the Dockerfile."""

    name: str
    value: str


def instructions() -> list[Instruction]:
    """The Dockerfile without comments, each instruction on one line."""
    source = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = source.replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def instruction(name: str) -> str:
    """The last of its kind, which is the one in force."""
    return [each.value for each in instructions() if each.name == name][-1]


def copied() -> list[tuple[str, str]]:
    """What the image takes from the build context, and where to."""
    sources = [each.value for each in instructions() if each.name == "COPY" and "--from" not in each.value]
    return [(source, target) for source, target in (value.split() for value in sources)]


def image_environment() -> dict[str, str]:
    return dict(part.split("=", 1) for part in instruction("ENV").split())


def is_in_context(path: str) -> bool:
    """What .dockerignore says of a path or a folder above it: its last matching line."""
    verdict, whole = True, PurePosixPath("/", path)
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = f"/{line.removeprefix('!')}".removeprefix("/**/")
        if any(part.match(pattern) for part in (whole, *whole.parents)):
            verdict = line.startswith("!")
    return verdict


# The files


def test_the_compose_file_fits_the_specification(tmp_path: Path) -> None:
    plain = tmp_path / "compose.json"
    plain.write_text(json.dumps(compose()), "utf-8")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*check, str(COMPOSE), str(plain)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_no_env_file_is_needed_and_one_is_honoured() -> None:
    assert "$" not in json.dumps(compose())
    for name in OURS:
        assert service(name)["env_file"] == [{"path": ".env", "required": False}]
        theirs = service(name, DATABASE_URL="postgresql://films.example.org/marquee", DATA_DIR="/elsewhere")
        assert theirs["environment"]["DATABASE_URL"] == "postgresql://films.example.org/marquee"
        assert theirs["environment"]["DATA_DIR"] == "/data"


def test_every_variable_is_known_and_documented() -> None:
    own = {"POSTGRES_PASSWORD", "POSTGRES_PORT"}
    settings = {name.upper() for name in Settings.model_fields}
    interpolated = {name for name, _ in re.findall(r"\$\{(\w+)(:-)", COMPOSE.read_text("utf-8"))}
    assert interpolated <= settings | own
    page = (ROOT / "docs" / "docker.md").read_text("utf-8")
    assert all(f"| `{name}` |" in page for name in interpolated)
    for name in OURS:
        assert set(service(name)["environment"]) <= settings | {"PGPASSWORD"}
    assert set(service("db")["environment"]) == {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}


def test_nothing_is_reachable_from_other_machines_unless_told() -> None:
    ports = {name: each.get("ports", []) for name, each in compose()["services"].items()}
    assert {(name, port["host_ip"], port["target"]) for name, these in ports.items() for port in these} == {
        ("db", "127.0.0.1", 5432),
        ("api", "127.0.0.1", "8000"),
    }
    told = compose(HOST="0.0.0.0", PORT="9000")["services"]
    assert told["api"]["ports"] == [{"host_ip": "0.0.0.0", "published": "9000", "target": "9000"}]
    assert told["api"]["environment"]["PORT"] == "9000"
    assert told["db"]["ports"] == ports["db"]


def test_the_database_is_the_one_that_is_asked_and_takes_any_password() -> None:
    database = service("db", POSTGRES_PASSWORD=PASSWORD)
    assert database["image"] == f"pgvector/pgvector:pg{POSTGRES_VERSION}"
    assert database["environment"]["POSTGRES_PASSWORD"] == PASSWORD
    assert database["environment"]["POSTGRES_DB"] == DATABASE
    for name in OURS:
        environment = service(name, POSTGRES_PASSWORD=PASSWORD)["environment"]
        url = make_url(environment["DATABASE_URL"])
        assert (url.host, url.port, url.database) == ("db", 5432, DATABASE)
        assert url.username == database["environment"]["POSTGRES_USER"]
        # libpq takes the password from here: in the URL it would have to be escaped.
        assert (url.password, environment["PGPASSWORD"]) == (None, PASSWORD)
    asked = database["healthcheck"]["test"]
    assert asked[:2] == ["CMD", "pg_isready"]
    assert {"--host=127.0.0.1", f"--dbname={DATABASE}"} <= set(asked)


def test_what_is_kept_lies_in_named_volumes() -> None:
    assert set(compose()["volumes"]) == {"db", "data"}
    assert service("db")["volumes"] == ["db:/var/lib/postgresql/data"]
    for name in OURS:
        assert service(name)["volumes"] == [f"data:{service(name)['environment']['DATA_DIR']}"]
    assert image_environment()["DATA_DIR"] == "/data"


def test_services_wait_for_what_they_need_and_come_back() -> None:
    healthy = {"condition": "service_healthy"}
    assert service("api")["depends_on"] == {"db": healthy}
    assert service("scheduler")["depends_on"] == {"db": healthy, "api": healthy}
    assert all(each["restart"] == "unless-stopped" for each in compose()["services"].values())


def test_both_of_ours_are_one_image_with_no_rights_to_spare() -> None:
    for name in OURS:
        ours = service(name)
        assert (ours["build"], ours["image"], ours["init"]) == (".", "marquee", True)
        assert (ours["read_only"], ours["tmpfs"], ours["cap_drop"]) == (True, ["/tmp"], ["ALL"])
    for each in compose()["services"].values():
        assert each["security_opt"] == ["no-new-privileges:true"]
    assert int(instruction("USER").partition(":")[0]) > 0


def test_every_command_is_one_that_there_is() -> None:
    commands = [service(name)["command"] for name in OURS] + [json.loads(instruction("CMD"))]
    for command in commands:
        assert command[:3] == ["python", "-m", "backend"]
        build_parser().parse_args(command[3:])
    checked = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert service("api")["healthcheck"]["test"] == ["CMD", *checked]


def test_the_image_takes_what_exists_and_no_secrets() -> None:
    for source, _ in copied():
        assert (ROOT / source).exists()
        assert is_in_context(source)
    taken = {"backend", "movie_pipeline.py", "requirements.txt", "requirements.lock"}
    assert {source for source, _ in copied()} == taken
    for path in (".env", ".git/config", "data/api_key", "tests/conftest.py", "backend/ml/__pycache__/a.pyc"):
        assert not is_in_context(path)


def test_the_image_is_installed_as_the_makefile_installs() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    index = re.search(r"TORCH_INDEX \?= (\S+)", makefile)
    assert index is not None
    assert Instruction("ARG", f"TORCH_INDEX={index[1]}") in instructions()
    with_hashes, torch = [each.value for each in instructions() if "pip install" in each.value]
    assert "--require-hashes --no-deps -r /tmp/requirements.lock" in with_hashes
    assert "--require-hashes --no-deps -r requirements.lock" in makefile
    assert "grep ^torch== /tmp/requirements.txt" in torch
    assert "grep ^torch== requirements.txt" in makefile
    assert re.search(r"^torch==\S+$", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)


# The containers' commands


class Containers:
    """What the containers would run, as processes of this machine with the environment they would have."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.app = home / "app"
        self._data = home / "data"
        self._database_url = database_url
        self._log = home / "log"
        self.app.mkdir()
        for source, target in copied():
            if target.startswith("./"):
                self._copy(ROOT / source, self.app / target)

    def environment(self, name: str) -> dict[str, str]:
        """The image's and the service's, but this run's database, data folder and port."""
        given = image_environment() | service(name)["environment"]
        here = {key: value.replace("/data", str(self._data), 1) for key, value in given.items()}
        return here | {"PATH": str(Path(sys.executable).parent), "DATABASE_URL": self._database_url, "PORT": "0"}

    def run(self, name: str, command: list[str], **more: str) -> "subprocess.CompletedProcess[str]":
        """As `docker compose run` does."""
        environment = self.environment(name) | more
        return subprocess.run(command, cwd=self.app, env=environment, capture_output=True, text=True)

    @contextmanager
    def up(self, name: str) -> Iterator["subprocess.Popen[str]"]:
        """As `docker compose up` does; at the end of the block it has to heed SIGTERM in time."""
        with self._log.open("a") as errors:
            process = subprocess.Popen(
                service(name)["command"],
                cwd=self.app,
                env=self.environment(name),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            yield process
            process.terminate()
            process.communicate(timeout=float(service(name)["stop_grace_period"].removesuffix("s")))
            assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM), self._log.read_text()
        finally:
            process.kill()
            process.communicate()

    def link(self, api: "subprocess.Popen[str]") -> tuple[str, str]:
        """The port and the key in the line that says where the service is."""
        assert api.stdout is not None
        line = api.stdout.readline()
        found = re.search(r"http://\S+:(\d+)/\?key=(\S+)", line)
        assert found is not None, line + self._log.read_text()
        return found[1], found[2]

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        if source.is_file():
            shutil.copy(source, target)
        else:
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


@pytest.fixture
def containers(tmp_path: Path, postgres: EmbeddedPostgres) -> Containers:
    """The image's files, an empty data folder, and a database with a handful of films."""
    ready = Containers(tmp_path, make_database(postgres))
    films = tmp_path / "films.jsonl"
    films.write_text("\n".join(map(json.dumps, FILMS)), "utf-8")
    filled = ready.run("api", ["python", "movie_pipeline.py", "--from-file", str(films)])
    assert filled.returncode == 0, filled.stderr
    return ready


def test_the_containers_come_up_healthy_and_guarded_and_the_scheduler_is_seen(containers: Containers) -> None:
    healthcheck = service("api")["healthcheck"]["test"][1:]
    assert containers.run("api", healthcheck, PORT="1").returncode == 1
    with containers.up("api") as api:
        port, key = containers.link(api)
        eventually(lambda: containers.run("api", healthcheck, PORT=port).returncode == 0, "it is healthy")
        address = f"http://127.0.0.1:{port}"
        assert requests.get(f"{address}/similar/862", timeout=10).status_code == 401
        with_key = {"X-API-Key": key}
        similar = requests.get(f"{address}/similar/862", headers=with_key, timeout=10)
        assert similar.json()["results"][0]["id"] == 863

        def scheduler_runs() -> bool:
            jobs = requests.get(f"{address}/jobs", headers=with_key, timeout=10)
            assert jobs.status_code == 200, jobs.text
            return bool(jobs.json()["scheduler_running"])

        assert not scheduler_runs()
        with containers.up("scheduler"):
            eventually(scheduler_runs, "the scheduler is seen")
