"""SQL is written by us: what comes from outside is bound, and never becomes a part of a statement."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import pytest

from tests.test_architecture import ROOT, Module, absolute_source, modules

TAKE_SQL = {"text", "exec_driver_sql", "copy_expert", "mogrify", "literal_column", "DDL"}
"""Whatever these are given is a statement, or a part of one."""
TAKE_STATEMENTS = {"execute", "executemany", "scalar", "scalars"}
"""These are given SQLAlchemy's statements too, which bind by themselves."""
KEEP_STRINGS = {"format", "join", "replace", "strip"}

ALLOWED: dict[str, dict[str, set[str]]] = {
    "the columns of MovieRecord, and a statement made of them": {
        "backend/catalog/store.py": {"COLUMNS", "_upsert_sql()"},
    },
    "a version's tables, whose names `_table` holds to letters, digits and _; types of their columns": {
        "backend/ml/taste_store.py": {
            *("_table(name, version)", "name", "tables", "statements"),
            *("columns", "part", "where", "megabytes"),
        },
        "backend/ml/table_copy.py": {"table", "columns"},
    },
    "numbers and words of IndexPlan; settings by their own names; the database as quote_ident tells it": {
        "backend/ml/index_build.py": {"plan.definition", "plan.memory(films)", "database", "name", "value"},
    },
    "statements that SQLAlchemy has compiled, with a placeholder for each value": {
        "backend/ml/prepared_statements.py": {"text", "self.text"},
    },
    "a number: SQLite takes no parameter in a PRAGMA": {
        "backend/ml/people_store.py": {"round(seconds * 1000)"},
    },
    "columns and types that the revisions make; names that the database quotes, and those made of them": {
        "backend/migrations/adopt.py": {"name", "kept"},
        "backend/migrations/convert.py": {"new.name", "new.type", "raw", "value"},
        "backend/migrations/shapes.py": {"statement"},
        "backend/migrations/shaping.py": {"change", "column.name", "value"},
        "backend/migrations/standing.py": {"index.name", "key.name", "kept", "wanted"},
    },
}
"""Why, where, and which parts of a statement are not written there as constants."""


@dataclass(frozen=True)
class Scope:
    """Where a name is looked up: in a function, if any, and then in its module."""

    module: Module
    function: ast.AST | None = None
    asked: frozenset[str] = frozenset()
    """Names that are being looked up: `x = f"({x})"`."""


Found = Iterator[tuple[int, str]]


def built_sql(module: Module) -> Found:
    """Line and source of every part of a statement that is no constant."""
    for scope, call in calls(module):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if call.args and (name in TAKE_SQL or (name in TAKE_STATEMENTS and is_text(call.args[0], scope))):
            yield from ((call.lineno, part) for part in sorted(parts(call.args[0], scope)))


def calls(module: Module) -> Iterator[tuple[Scope, ast.Call]]:
    """Every call, with the innermost function around it."""

    def walk(node: ast.AST, scope: Scope) -> Iterator[tuple[Scope, ast.Call]]:
        if isinstance(node, ast.Call):
            yield scope, node
        inner = Scope(module, node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else scope
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return walk(module.tree, Scope(module))


def parts(node: ast.expr, scope: Scope) -> set[str]:
    """What a string is made of, but for constants."""
    if isinstance(node, ast.Constant):
        return set()
    if isinstance(
        node, ast.JoinedStr | ast.BinOp | ast.Tuple | ast.List | ast.Dict | ast.FormattedValue | ast.Starred
    ):
        within = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return set().union(*(parts(child, scope) for child in within))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KEEP_STRINGS:
        given = [node.func.value, *node.args, *(keyword.value for keyword in node.keywords)]
        return set().union(*(parts(one, scope) for one in given))
    if isinstance(node, ast.Name):
        return parts_of_name(node, scope)
    return {ast.unparse(node)}


def parts_of_name(node: ast.Name, scope: Scope) -> set[str]:
    if node.id in scope.asked:
        return set()
    local = list(bound_in(scope.function, node.id)) if scope.function else []
    if local:
        inner = replace(scope, asked=scope.asked | {node.id})
        return set().union(*(parts_of_value(value, node.id, inner) for value in local))
    value, home = find_constant(scope.module, node.id)
    return {node.id} if value is None or parts(value, Scope(home)) else set()


def parts_of_value(value: ast.expr | None, name: str, scope: Scope) -> set[str]:
    """Named by its name where it is no string that is put together."""
    found = parts(value, scope) if value else {name}
    return {name} if value and found == {ast.unparse(value)} else found


def bound_in(function: ast.AST, name: str) -> Iterator[ast.expr | None]:
    """What a name stands for in a function; None where only a caller knows."""
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and node.arg == name:
            yield None
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(named(target, name) for target in targets):
                yield node.value if any(isinstance(target, ast.Name) for target in targets) else None
        elif isinstance(node, ast.For | ast.comprehension) and named(node.target, name):
            yield node.iter if isinstance(node.target, ast.Name) else None
        elif isinstance(node, ast.withitem | ast.NamedExpr):
            target = node.optional_vars if isinstance(node, ast.withitem) else node.target
            if target is not None and named(target, name):
                yield None


def named(target: ast.AST, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


def find_constant(module: Module, name: str) -> tuple[ast.expr | None, Module]:
    """What a module, or the one it is imported from, says once that a name is."""
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names if not alias.asname}:
            source = house().get(absolute_source(module, node))
            return find_constant(source, name) if source else (None, module)
    said = [node for node in ast.walk(module.tree) if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)]
    values = [
        node.value
        for node in said
        if named(node.targets[0] if isinstance(node, ast.Assign) else node.target, name)
    ]
    return (values[0] if len(values) == 1 else None), module


@lru_cache
def house() -> dict[str, Module]:
    return {module.name: module for module in modules()}


def is_text(node: ast.expr, scope: Scope) -> bool:
    """Whether this is a string that is put together."""
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp):
        return is_text(node.left, scope) or is_text(node.right, scope)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KEEP_STRINGS:
        return is_text(node.func.value, scope)
    if isinstance(node, ast.Name) and scope.function:
        others = (value for value in bound_in(scope.function, node.id) if value and not named(value, node.id))
        return any(is_text(value, scope) for value in others)
    return False


def allowed_in(path: str) -> set[str]:
    return set().union(*(places.get(path, set()) for places in ALLOWED.values()))


def test_statements_are_made_of_constants_or_of_what_is_named_here() -> None:
    found = [
        f"{module.path}:{line}: {part}"
        for module in modules()
        for line, part in built_sql(module)
        if part not in allowed_in(module.path)
    ]
    assert not found, "\n".join(found)


def test_what_is_allowed_is_still_there() -> None:
    for places in ALLOWED.values():
        for path, allowed in places.items():
            module = Module.parse(path, (ROOT / path).read_text("utf-8"))
            assert allowed == {part for _, part in built_sql(module)}


INJECTED = [
    "def f(s, name):\n    s.execute(text(f'DELETE FROM {name}'))",
    "def f(s, name):\n    s.execute(text('DELETE FROM ' + name))",
    "def f(s, name):\n    s.execute(text('DELETE FROM %s' % name))",
    "def f(s, name):\n    s.execute(text('DELETE FROM {}'.format(name)))",
    "def f(s, name):\n    query = f'DELETE FROM {name}'\n    s.execute(text(query))",
    "def f(s, name):\n    query = 'DELETE FROM '\n    query += name\n    s.execute(text(query))",
    "def f(cursor, name):\n    cursor.execute(f'DELETE FROM {name}')",
    "def f(cursor, name):\n    query = 'DELETE FROM %s' % name\n    cursor.execute(query)",
    "def f(c, query):\n    c.exec_driver_sql(query)",
    "def f(s, names):\n    s.execute(text('SELECT ' + ', '.join(names)))",
    "def f(s, names):\n    for name in names:\n        s.execute(text(f'DROP TABLE {name}'))",
    "def f(s, request):\n    s.scalar(sa.text(f'SELECT {request.q}'))",
    "def f(s, order):\n    return select(Movie).order_by(literal_column(order))",
    "def f(s):\n    with given() as name:\n        s.execute(text(f'DROP TABLE {name}'))",
]
BOUND = [
    "def f(s, name):\n    s.execute(text('DELETE FROM movies WHERE title = :name'), {'name': name})",
    "TABLE = 'movies'\ndef f(s):\n    s.execute(text(f'DELETE FROM {TABLE}'))",
    "def f(s):\n    for table in ('movies', 'users'):\n        s.execute(text(f'DELETE FROM {table}'))",
    "from backend.database import CHANGES\ndef f(c):\n    c.execute(f'LISTEN {CHANGES}')",
    "def f(s, title):\n    s.execute(select(Movie).where(Movie.title == title))",
    "def f(s, title):\n    query = select(Movie).where(Movie.title == title)\n    s.execute(query)",
    "def f(cursor, title):\n    cursor.execute('SELECT %s', (title,))",
]


@pytest.mark.parametrize("source", INJECTED)
def test_a_statement_put_together_is_noticed(source: str) -> None:
    assert list(built_sql(Module.parse("backend/catalog/store.py", source)))


@pytest.mark.parametrize("source", BOUND)
def test_a_statement_that_binds_is_not_reported(source: str) -> None:
    assert not list(built_sql(Module.parse("backend/catalog/store.py", source)))
