"""What a load came to."""

from collections import Counter
from dataclasses import dataclass, field

from backend.catalog.store import Upserted
from backend.errors import TmdbError

FAILURES_NAMED = 20


@dataclass
class LoadSummary:
    """What a load came to; of the failures the first few are named."""

    failure: str = "rejected"
    """What a failure is called: a line of a file is rejected, a film of TMDB's has failed."""
    upserted: Upserted = field(default_factory=Upserted)
    failed: int = 0
    dealt_with: int = 0
    """Films of which an answer came, whatever it was."""
    gone: int = 0
    """Films that TMDB no longer has."""
    faults: Counter[str] = field(default_factory=Counter)
    """What went wrong on the way, by its kind, though most of it was tried again with success."""
    reasons: list[str] = field(default_factory=list)
    ended_by: TmdbError | None = None
    """What ended a fetch before its time; what had come till then is stored."""

    def fail(self, what: str, reason: str) -> None:
        """Count something that did not come in."""
        self.failed += 1
        if len(self.reasons) < FAILURES_NAMED:
            self.reasons.append(f"{what}: {reason}")

    @property
    def trouble(self) -> str:
        """What went wrong on the way, the most frequent first."""
        return ", ".join(f"{times:,} x {fault}" for fault, times in self.faults.most_common())

    def __str__(self) -> str:
        done = self.upserted
        return (
            f"{done.new:,} new, {done.changed:,} changed, {done.unchanged:,} unchanged, "
            f"{self.failed:,} {self.failure}" + (f", {self.gone:,} gone" if self.gone else "")
        )
