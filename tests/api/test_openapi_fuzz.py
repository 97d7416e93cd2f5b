"""Whatever is asked, the answer is as the OpenAPI document has it: requests of every kind, made from it."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, BaseSchema, Case, GenerationMode, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance
from sqlalchemy import Engine
from starlette.types import ASGIApp, Receive, Scope, Send

from backend import database
from backend.config import Settings
from backend.main import create_app
from backend.ml.encoder import Encoder
from tests.api.routes import EVERY_ROUTE, NEEDS_NO_KEY
from tests.faults.ledger import Ledger

KEY = "key-of-the-fuzzer"
HEADERS = {"X-API-Key": KEY}
UNHURRIED = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
ROUTES = [call.route for call in EVERY_ROUTE]
MODES = list(GenerationMode)
UNSAID = {"future", "too_long_ago", "invalid_input", "unusable_file"}
"""What a value may be refused for that no schema can say: the time, which lists were ours, what is in a file."""


@pytest.fixture(scope="module")
def description(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> BaseSchema:
    """The document of an app that asks for a key and keeps its answers."""
    app = create_app(Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("fuzzed"), api_keys=KEY))
    app.state.words._encoder = encoder
    app.state.response_cache.trust(float("inf"))
    app.state.layers.refresh()
    return schemathesis.openapi.from_asgi("/openapi.json", without_lifespan(app))


def without_lifespan(app: ASGIApp) -> ASGIApp:
    """The app as the other tests have it: without the threads of a service around it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await app(scope, receive, send)

    return answer


@pytest.fixture(autouse=True)
def films(catalogue_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The small catalogue; what is written goes again."""
    monkeypatch.setattr(database, "get_engine", lambda: catalogue_engine)
    yield
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")
        connection.exec_driver_sql("DELETE FROM job_runs")


def check(case: Case, mode: GenerationMode | None = None) -> Response:
    """Ask, and let every check have a look.

    Of what was made to be refused schemathesis sometimes thinks that it would do: it looks at text as it is quoted
    in an address.
    """
    response = case.call(headers=HEADERS)
    may_be_refused = mode is GenerationMode.NEGATIVE or is_unsaid(response)
    excluded = [positive_data_acceptance] if may_be_refused else []
    case.validate_response(response, headers=HEADERS, excluded_checks=excluded)
    return response


def is_unsaid(response: Response) -> bool:
    return response.status_code == 422 and {error["code"] for error in response.json()["errors"]} <= UNSAID


def ask_at_the_bounds(description: BaseSchema, route: str, *, every: int = 1) -> Iterator[Response]:
    """Each value at and beyond its bounds, one at a time; other methods; what is required left out."""
    generation = description.config.generation
    operation = operation_of(description, route)
    cases = description.iter_coverage_cases(operation, generation_modes=MODES, generation_config=generation)
    return map(check, islice(cases, None, None, every))


def ask_at_random(description: BaseSchema, route: str, *, asked: settings) -> list[Response]:
    """By the schema, and against it."""
    return [told for mode in MODES for told in _ask(operation_of(description, route), mode, asked=asked)]


def _ask(operation: APIOperation, mode: GenerationMode, *, asked: settings) -> list[Response]:
    told = []

    def ask(case: Case) -> None:
        told.append(check(case, mode))

    # There is nothing to do against a schema that takes nothing.
    with suppress(Unsatisfiable):
        asked(given(operation.as_strategy(mode))(ask))()
    return told


def operation_of(description: BaseSchema, route: str) -> APIOperation:
    method, path = route.split()
    operation: APIOperation = description[path][method]
    return operation


@pytest.mark.parametrize("route", ROUTES)
def test_every_answer_is_as_documented(description: BaseSchema, route: str) -> None:
    told = list(ask_at_the_bounds(description, route, every=4))
    told += ask_at_random(description, route, asked=settings(UNHURRIED, max_examples=3, derandomize=True))
    assert {response.status_code for response in told} - {200} or route in NEEDS_NO_KEY


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_thousands_of_answers_are_as_documented(description: BaseSchema, ledger: Ledger) -> None:
    statuses = []
    for route in ROUTES:
        told = ask_at_random(description, route, asked=settings(UNHURRIED, max_examples=200))
        statuses += [response.status_code for response in (*ask_at_the_bounds(description, route), *told)]
    ledger.inputs(
        "requests made from the OpenAPI document, by it and against it",
        tried=len(statuses),
        refused=sum(400 <= status < 500 for status in statuses),
        errors_5xx=sum(status >= 500 for status in statuses),
    )
