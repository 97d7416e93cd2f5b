"""The SQL over what trainings measured of themselves."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from backend.ml.quality import Quality
from backend.models import ActiveModel, QualityMeasurement


def keep(session: Session, version: str, quality: Quality) -> None:
    """Note down what was found of a version."""
    session.execute(insert(QualityMeasurement).values(version=version, **asdict(quality)))


def find(session: Session) -> dict[str, Any] | None:
    """What was found of the version in force; None where that was not measured."""
    found = select(QualityMeasurement.__table__).join(
        ActiveModel, ActiveModel.version == QualityMeasurement.version
    )
    row = session.execute(found).mappings().one_or_none()
    return None if row is None else dict(row)
