"""What waiting for an answer comes to as more requests a second come in, up to nearly as many as can be answered.

An open loop: a request is sent when it is due, whether or not those before it have been answered, and from then on
it waits.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.load_generator import Outcome
    from benchmarks.served import Served

SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
SECONDS = 5.0
"""Of each load."""
PATHS = {"by default": "/similar/{}", "by embedding": "/similar/{}?by=embedding"}


def measure(*, seconds: float = SECONDS) -> dict[str, Any]:
    """Percentiles at shares of the service's own greatest rate, its cache left out."""
    # Here, so that the page is rendered without the service.
    from benchmarks.served import serve
    from benchmarks.serving import Installation

    there = Installation.find()
    picks = there.picks()
    with serve("uncached") as service:
        series = {
            name: _loads(service, [path.format(film) for film in picks], seconds) for name, path in PATHS.items()
        }
    return {"films": len(there.films), "series": series}


def _loads(service: "Served", paths: list[str], seconds: float) -> list[dict[str, float]]:
    top = service.load(paths, seconds=seconds).rate
    return [_waits(share, service.load(paths, seconds=seconds, rate=share * top)) for share in SHARES]


def _waits(share: float, outcome: "Outcome") -> dict[str, float]:
    return {"share": share, "requests": outcome.requests} | outcome.percentiles


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'/similar, uncached':<20}{'share of the greatest rate':>28}{'p50, ms':>10}{'p95':>10}{'p99':>10}"]
    for name, points in figures["series"].items():
        for point in points:
            waits = "".join(f"{point[key]:>10.1f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
            lines.append(f"{name:<20}{point['share']:>28.0%}{waits}")
    return "\n".join(lines)
