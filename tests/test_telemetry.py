"""Logs for a machine: every line is JSON, libraries' too, and says for which request it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

SAYS_MUCH = """
import logging, threading, warnings
import structlog
from backend.api.request_id import begin_request
from backend.config import get_settings
from backend.telemetry import configure_logging

configure_logging(get_settings())
begin_request("the-id")
structlog.get_logger().info("ours", films=3)
logging.getLogger("a.library").warning("of %s", "theirs\\nin two lines")
logging.getLogger("a.library").info("not worth a line")
warnings.warn("old way")
for log in (structlog.get_logger().exception, logging.getLogger("a.library").exception):
    try:
        raise ValueError("refused\\nDETAIL:  Key (external_id)=(ada) already exists.\\nand on")
    except ValueError:
        log("it failed")
thread = threading.Thread(target=lambda: 1 / 0, name="hands")
thread.start()
thread.join()
"""


def said(log_format: str) -> list[str]:
    """What a program says on standard error."""
    environment = os.environ | {"LOG_FORMAT": log_format, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SAYS_MUCH]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return run.stderr.splitlines()


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in said("json")]


def test_every_line_is_json_with_a_level_and_a_time(lines: list[dict[str, Any]]) -> None:
    assert len(lines) == 6
    assert {line["level"] for line in lines} == {"info", "warning", "error"}
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_libraries_speak_in_the_same_way_and_for_the_same_request(lines: list[dict[str, Any]]) -> None:
    ours, theirs, warned, failed, failed_there, died = lines
    assert {line["request_id"] for line in (ours, theirs, warned, failed, failed_there)} == {"the-id"}
    assert (ours["event"], ours["films"]) == ("ours", 3)
    assert (theirs["event"], theirs["logger"]) == ("of theirs\nin two lines", "a.library")
    assert "old way" in warned["event"]
    assert (died["event"], died["thread"]) == ("thread_died", "hands")
    assert "ZeroDivisionError" in died["exception"]


def test_what_the_database_says_of_a_row_stays_out_of_the_log(lines: list[dict[str, Any]]) -> None:
    stacks = [line["exception"] for line in lines if line["event"] == "it failed"]
    assert len(stacks) == 2
    for stack in stacks:
        assert "ValueError: refused" in stack
        assert "and on" in stack
        assert "ada" not in stack
    assert "ada" not in "\n".join(said("console"))
