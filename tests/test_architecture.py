"""The house keeps its shape: who may import whom, and where SQL, commits and the environment may be touched."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = (
    {"config", "errors", "telemetry"},
    {"postgres_process", "embedded_postgres", "models", "pulse", "database", "migrations"},
    {"catalog", "feedback"},
    {"ml"},
    {"operations"},
    {"api", "web"},
    {"main", "__main__", "cli", "scheduler", "generate_embeddings", "migrate_add_pgvector", "movie_pipeline"},
)
"""From left to right; each may import from its own room and from those before it."""

STRANGERS = ({"catalog", "feedback"},)
"""Neighbours in a room that must not know each other."""

SQL_NAMES = {"text", "select", "insert", "update", "delete", "func"}
SQL_STRING = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH)\s")
SQL_HOMES = re.compile(
    r"backend/(\w+/)*store\.py"
    r"|backend/ml/(taste_store|cache_store|people_store|quality_store|map_store|pgvector_recommender|\w+_statements)\.py"
    r"|backend/(catalog/queue|feedback/profile)_store\.py"
    r"|backend/ml/(vector_index|index_build|index_recall)\.py"
    r"|backend/(operations|migrations)/.*"
    r"|backend/(database|models)\.py"
)
FASTAPI_HOMES = re.compile(r"backend/(api/.*|main\.py)")

TOO_MUCH_FOR_AN_IMPORT = {
    *("create_engine", "get_engine", "get_embedded_postgres", "EmbeddedPostgres", "Session", "SessionLocal"),
    *("connect", "get_settings", "Settings", "create_app"),
    *("get_encoder", "Encoder", "SentenceTransformer"),
    *("Thread", "Timer", "Process", "Popen", "ThreadPoolExecutor", "ProcessPoolExecutor"),
    *("BackgroundScheduler", "BlockingScheduler", "AsyncIOScheduler"),
}


@dataclass(frozen=True)
class Module:
    """A source file, by its path from the root of the repository."""

    path: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, source: str) -> "Module":
        return cls(path, ast.parse(source))

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def part(self) -> str:
        """The part of the house it belongs to: its folder or file right under `backend`."""
        return part_of(self.name)


Violations = Iterator[tuple[int, str]]
Rule = Callable[[Module], Violations]


def part_of(name: str) -> str:
    words = name.split(".")
    return words[1] if words[0] == "backend" and len(words) > 1 else words[0]


def modules() -> list[Module]:
    paths = [*sorted((ROOT / "backend").rglob("*.py")), ROOT / "movie_pipeline.py"]
    return [
        Module.parse(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths if path.exists()
    ]


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, wherever in the file."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = absolute_source(module, node)
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def absolute_source(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    is_package = module.path.endswith("/__init__.py")
    package = package[: len(package) - node.level + is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def own_imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and part of the house of every import from another part."""
    for line, name in imports(module):
        if name.split(".")[0] in ("backend", "movie_pipeline") and part_of(name) != module.part:
            yield line, part_of(name)


def room_of(part: str) -> int | None:
    return next((number for number, parts in enumerate(ROOMS) if part in parts), None)


def imports_only_to_the_left(module: Module) -> Violations:
    """A room imports only rooms to its left."""
    own = room_of(module.part)
    for line, part in own_imports(module):
        other = room_of(part)
        if own is not None and other is not None and other > own:
            yield line, f"{module.part} imports {part}"


def every_module_has_a_room(module: Module) -> Violations:
    """Every file and folder of `backend` belongs to a room."""
    if room_of(module.part) is None and module.part not in ("backend", "evaluation"):
        yield 1, f"{module.part} is in no room"


def neighbours_stay_strangers(module: Module) -> Violations:
    """Catalog and feedback do not import each other."""
    for line, part in own_imports(module):
        if any({module.part, part} <= pair for pair in STRANGERS):
            yield line, f"{module.part} imports {part}"


def evaluation_stands_outside(module: Module) -> Violations:
    """Nothing imports evaluation, and evaluation does not import the API."""
    for line, part in own_imports(module):
        if part == "evaluation" or (module.part == "evaluation" and part in ("api", "web")):
            yield line, f"{module.part} imports {part}"


def fastapi_stays_at_the_door(module: Module) -> Violations:
    """FastAPI and Starlette are known only in api/ and main.py."""
    if not FASTAPI_HOMES.fullmatch(module.path):
        for line, name in imports(module):
            if name.split(".")[0] in ("fastapi", "starlette"):
                yield line, f"imports {name}"


def sql_stays_home(module: Module) -> Violations:
    """SQL is written only in stores, the vector code, operations, migrations, database.py and models.py."""
    if SQL_HOMES.fullmatch(module.path):
        return
    for line, name in imports(module):
        if name.split(".")[0] == "sqlalchemy" and name.split(".")[-1] in SQL_NAMES:
            yield line, f"imports {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_STRING.match(node.value):
            yield node.lineno, f"SQL in a string: {node.value.strip()[:40]!r}"
        elif isinstance(node, ast.Attribute) and dotted(node) in {f"{a}.{b}" for a in ALIASES for b in SQL_NAMES}:
            yield node.lineno, f"uses {dotted(node)}"


ALIASES = ("sqlalchemy", "sa", "sql", "postgresql")
"""What the modules that hold SQLAlchemy's functions are commonly called."""


def the_environment_is_read_once(module: Module) -> Violations:
    """`os.environ` and `os.getenv` are used only in config.py."""
    if module.path == "backend/config.py":
        return
    names = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"}
    for line, name in imports(module):
        if name in names:
            yield line, f"imports {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and dotted(node) in names:
            yield node.lineno, f"uses {dotted(node)}"


def only_the_database_commits(module: Module) -> Violations:
    """`.commit(` is called only in database.py."""
    if module.path == "backend/database.py":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield node.lineno, "calls .commit()"


def nothing_runs_at_import(module: Module) -> Violations:
    """Engines, encoders, threads and settings are made by functions, never by an import."""
    for node in run_at_import(module.tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func).split(".")[-1]
            if name in TOO_MUCH_FOR_AN_IMPORT:
                yield node.lineno, f"calls {name}()"


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that an import evaluates: all but the bodies of functions and of `if __name__ == …`."""
    yield node
    for name, value in ast.iter_fields(node):
        if name == "body" and (is_function(node) or is_main_guard(node)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from run_at_import(child)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain or a name; only the last part of anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


RULES: tuple[Rule, ...] = (
    every_module_has_a_room,
    imports_only_to_the_left,
    neighbours_stay_strangers,
    evaluation_stands_outside,
    fastapi_stays_at_the_door,
    sql_stays_home,
    the_environment_is_read_once,
    only_the_database_commits,
    nothing_runs_at_import,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    found = [f"{module.path}:{line}: {what}" for module in modules() for line, what in rule(module)]
    assert not found, "\n".join([str(rule.__doc__), *found])


def test_the_whole_house_is_looked_at() -> None:
    paths = {module.path for module in modules()}
    assert {"backend/config.py", "backend/catalog/__init__.py", "backend/migrations/env.py"} <= paths


BROKEN: list[tuple[Rule, str, str]] = [
    (every_module_has_a_room, "backend/helpers.py", ""),
    (every_module_has_a_room, "backend/utils/strings.py", ""),
    (imports_only_to_the_left, "backend/config.py", "from backend.models import Movie"),
    (imports_only_to_the_left, "backend/database.py", "from backend import catalog"),
    (imports_only_to_the_left, "backend/catalog/store.py", "def f():\n    import backend.ml.encoder"),
    (imports_only_to_the_left, "backend/ml/encoder.py", "from ..operations import jobs"),
    (imports_only_to_the_left, "backend/feedback/__init__.py", "from ..ml.taste import learn"),
    (imports_only_to_the_left, "backend/operations/jobs.py", "from backend.api.schemas import Row"),
    (imports_only_to_the_left, "backend/api/deps.py", "from backend.main import create_app"),
    (imports_only_to_the_left, "backend/ml/encoder.py", "import movie_pipeline"),
    (neighbours_stay_strangers, "backend/catalog/store.py", "from backend.feedback import store"),
    (neighbours_stay_strangers, "backend/feedback/imports.py", "from backend.catalog.store import upsert"),
    (evaluation_stands_outside, "backend/main.py", "from backend.evaluation import metrics"),
    (evaluation_stands_outside, "backend/evaluation/run.py", "from backend.api import schemas"),
    (fastapi_stays_at_the_door, "backend/ml/encoder.py", "from fastapi import HTTPException"),
    (fastapi_stays_at_the_door, "backend/errors.py", "import starlette.responses"),
    (sql_stays_home, "backend/api/movies.py", "from sqlalchemy import text"),
    (sql_stays_home, "backend/main.py", "from sqlalchemy.dialects.postgresql import insert as upsert"),
    (sql_stays_home, "backend/ml/taste.py", "import sqlalchemy as sa\nsa.select(1)"),
    (sql_stays_home, "backend/catalog/pipeline.py", "QUERY = '''\n  SELECT 1'''"),
    (sql_stays_home, "backend/api/ops.py", "def f(t):\n    return f'DELETE FROM {t}'"),
    (the_environment_is_read_once, "backend/main.py", "import os\nos.environ['PORT']"),
    (the_environment_is_read_once, "backend/cli.py", "from os import getenv"),
    (only_the_database_commits, "backend/feedback/store.py", "def f(session):\n    session.commit()"),
    (nothing_runs_at_import, "backend/database.py", "engine = create_engine('postgresql://')"),
    (nothing_runs_at_import, "backend/ml/encoder.py", "class X:\n    model = st.SentenceTransformer('m')"),
    (nothing_runs_at_import, "backend/main.py", "def f(settings=get_settings()): ..."),
    (nothing_runs_at_import, "backend/scheduler.py", "if True:\n    threading.Thread(target=print).start()"),
]


@pytest.mark.parametrize(("rule", "path", "source"), BROKEN)
def test_a_broken_rule_is_noticed(rule: Rule, path: str, source: str) -> None:
    assert list(rule(Module.parse(path, source)))


def test_every_rule_has_an_example_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


KEPT: list[tuple[Rule, str, str]] = [
    (every_module_has_a_room, "backend/__init__.py", ""),
    (imports_only_to_the_left, "backend/ml/encoder.py", "from backend.catalog.store import pending"),
    (imports_only_to_the_left, "movie_pipeline.py", "from backend.catalog import pipeline"),
    (imports_only_to_the_left, "backend/ml/encoder.py", "from . import answer"),
    (evaluation_stands_outside, "backend/evaluation/run.py", "from backend.ml import recommender"),
    (sql_stays_home, "backend/catalog/store.py", "from sqlalchemy import text"),
    (sql_stays_home, "backend/api/deps.py", "'''With this, update and select work.'''"),
    (nothing_runs_at_import, "backend/main.py", "def f():\n    return create_engine('postgresql://')"),
    (nothing_runs_at_import, "backend/main.py", "if __name__ == '__main__':\n    get_settings()"),
]


@pytest.mark.parametrize(("rule", "path", "source"), KEPT)
def test_what_is_allowed_is_not_reported(rule: Rule, path: str, source: str) -> None:
    assert not list(rule(Module.parse(path, source)))
