"""The tables that the tests of soft deletion need."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import SoftDeleteModel
from harness.conformance.models import CONFORMANCE_METADATA

__all__ = ["ConformanceCourse", "ConformanceLesson", "ConformancePupil"]


class ConformanceCourse(SoftDeleteModel):
    """A course with unique values, whose lessons go with it, and whose pupils do not."""

    __table_args__ = (UniqueConstraint("school", "number"),)
    metadata = CONFORMANCE_METADATA

    code: Mapped[str | None] = mapped_column(unique=True)
    school: Mapped[str | None]
    number: Mapped[int | None]
    lessons: Mapped[list[ConformanceLesson]] = relationship(
        back_populates="course", cascade="all, delete-orphan"
    )


class ConformanceLesson(SoftDeleteModel):
    """A lesson of a course, which may have parts."""

    metadata = CONFORMANCE_METADATA

    title: Mapped[str]
    course_id: Mapped[int | None] = mapped_column(ForeignKey(ConformanceCourse.id))
    part_of_id: Mapped[int | None] = mapped_column(ForeignKey("conformance_lesson.id"))
    course: Mapped[ConformanceCourse | None] = relationship(back_populates="lessons")
    parts: Mapped[list[ConformanceLesson]] = relationship(cascade="all")


class ConformancePupil(SoftDeleteModel):
    """Somebody who refers to a course, and outlives it."""

    metadata = CONFORMANCE_METADATA

    name: Mapped[str]
    course_id: Mapped[int] = mapped_column(ForeignKey(ConformanceCourse.id))
    course: Mapped[ConformanceCourse | None] = relationship()
