"""What people did elsewhere: files of Letterboxd, IMDb, Trakt or MovieLens -> interactions."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from backend.database import session_scope
from backend.errors import UnusableFileError, UsageError
from backend.feedback.files import Bounds, Limits, Part, open_parts
from backend.feedback.formats import imdb, letterboxd, movielens, trakt
from backend.feedback.reading import ImportSummary, Reading
from backend.feedback.records import Film, NewInteraction
from backend.feedback.store import record
from backend.feedback.weights import Kind


class Format(Protocol):
    """A module of `formats/`."""

    NAME: str
    MANY_PEOPLE: bool

    def knows(self, start: str) -> bool:
        """Whether a file begins like one of this service's."""

    def read(self, parts: Sequence[Part], reading: Reading) -> Iterator[NewInteraction]:
        """What people did, file by file."""


BATCH = 20_000
FORMATS: tuple[Format, ...] = (letterboxd, imdb, trakt, movielens)
UPLOAD = Limits(rows=200_000, unpacked=64_000_000, members=200, seconds=30)
"""A MovieLens file apart, nobody has more: it is the film a day of five hundred years."""


def import_ratings(path: Path, person: str | None = None) -> ImportSummary:
    """A file, a ZIP or a folder, a transaction a batch; what is not usable is counted and named.

    `person` is whose it is; a MovieLens file names its people itself. Raises UsageError where it can't be read.
    """
    reading = Reading(person or "", Bounds())
    with open_parts(path, reading.bounds) as parts:
        service, own = recognise(parts, path.name)
        if service.MANY_PEOPLE and person is not None:
            raise UsageError(f"{path.name} is {service.NAME}', of many people: leave --user-id out")
        if not service.MANY_PEOPLE and person is None:
            raise UsageError(f"{path.name} is {service.NAME}'s, of one person: say who that is with --user-id")
        return _import(service, own, reading, show=True)


def import_upload(content: bytes, person: str, *, listed_as: Kind | None = None) -> ImportSummary:
    """What a person has sent, within bounds; where it is refused, nothing of it has been stored.

    Only where the time runs out while it is being stored, a part has been.
    """
    reading = Reading(person, Bounds(UPLOAD), listed_as)
    with open_parts(content, reading.bounds) as parts:
        service, own = recognise(parts, "The file")
        if service.MANY_PEOPLE:
            raise UnusableFileError(
                f"This is a {service.NAME} file, of many people. Where the service runs, they are imported by: "
                "python movie_pipeline.py --ratings FILE"
            )
        return _import(service, own, reading)


def read_movielens(folder: Path, summary: ImportSummary) -> Iterator[NewInteraction]:
    """The usable ratings of a MovieLens folder; the summary counts what was read and what is not usable.

    Raises UsageError where ratings.csv or links.csv is missing or is another kind of file.
    """
    reading = Reading("", Bounds(), summary=summary)
    with open_parts(folder, reading.bounds) as parts:
        yield from movielens.read(parts, reading)


def recognise(parts: Sequence[Part], name: str) -> tuple[Format, list[Part]]:
    """Whose files these are, told by what they begin with, and which of them.

    Raises UnusableFileError where they are nobody's, or of several.
    """
    known: dict[Format, list[Part]] = {}
    for part in parts:
        start = part.start()
        service = next((service for service in FORMATS if service.knows(start)), None)
        if service is not None:
            known.setdefault(service, []).append(part)
    if len(known) > 1:
        services = " and ".join(service.NAME for service in known)
        raise UnusableFileError(f"{name} has files of {services}: import them one by one.")
    for service, own in known.items():
        # A table of MovieLens' that is damaged is told as such, by the reader.
        return service, list(parts) if service.MANY_PEOPLE else own
    raise UnusableFileError(
        f"{name} has no ratings that are understood here: an export of Letterboxd (ZIP or CSV), IMDb (CSV) or "
        "Trakt (ZIP or JSON), or a MovieLens folder."
    )


def _import(service: Format, parts: Sequence[Part], reading: Reading, *, show: bool = False) -> ImportSummary:
    summary = reading.summary
    summary.format = service.NAME
    acts = service.read(parts, reading)
    batches = _by_person(acts) if service.MANY_PEOPLE else _newest(acts, summary)
    with tqdm(
        desc="ratings", unit=" ratings", unit_scale=True, mininterval=0.5, disable=None if show else True
    ) as bar:
        for batch in batches:
            reading.bounds.check_time()
            with session_scope() as session:
                recorded = record(session, batch)
            summary.add(recorded, batch)
            bar.update(len(batch))
    return summary


def _newest(acts: Iterable[NewInteraction], summary: ImportSummary) -> Iterator[list[NewInteraction]]:
    """All of one person, read before any of it is stored: per film and kind the newest, of one moment the last.

    What an export says of a film stands in several of its files.
    """
    newest: dict[tuple[Film, Kind], NewInteraction] = {}
    for act in acts:
        key = (act.film, act.kind)
        if key in newest:
            summary.merged += 1
        if key not in newest or newest[key].at <= act.at:
            newest[key] = act
    kept = list(newest.values())
    return (kept[start : start + BATCH] for start in range(0, len(kept), BATCH))


def _by_person(ratings: Iterator[NewInteraction]) -> Iterator[list[NewInteraction]]:
    """Batches that end where a person ends: ratings.csv is sorted by person, and two MovieLens ids may be one
    film, so that only what stands in one batch can be counted as merged. A file in another order is imported
    as rightly; merged rows in different batches then count as stored.
    """
    batch: list[NewInteraction] = []
    for rating in ratings:
        if len(batch) >= BATCH and rating.user_id != batch[-1].user_id:
            yield batch
            batch = []
        batch.append(rating)
    if batch:
        yield batch
