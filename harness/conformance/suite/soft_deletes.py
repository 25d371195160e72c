"""Soft deletion in full: unique values, cascades, and what a session remembers."""

from typing import Any

import pytest
from sqlalchemy import delete, select, update

from andamios import AsyncSession, DuplicateError, GenericRepository, NotFoundError
from harness.conformance.soft_deletes_models import (
    ConformanceCourse,
    ConformanceLesson,
    ConformancePupil,
)

__all__ = ["TestSoftCascades", "TestSoftMemory", "TestSoftUnique"]

Courses = GenericRepository[ConformanceCourse]
Lessons = GenericRepository[ConformanceLesson]
Pupils = GenericRepository[ConformancePupil]


class TestSoftUnique:
    """What is unique is so among live rows."""

    @pytest.mark.capability("soft delete: unique values are free again")
    @pytest.mark.parametrize(
        ("values", "columns"),
        [({"code": "a"}, ("code",)), ({"school": "s", "number": 1}, ("school", "number"))],
        ids=["column", "constraint"],
    )
    async def test_free(
        self, db_session: AsyncSession, values: dict[str, Any], columns: tuple[str, ...]
    ) -> None:
        """A value of a deleted row can be taken, by one live row at a time."""
        courses = Courses(db_session)
        first = await courses.create(ConformanceCourse(**values))
        with pytest.raises(DuplicateError) as caught:
            await courses.create(ConformanceCourse(**values))
        assert (columns, "conformance_course") == (caught.value.columns, caught.value.table)
        await courses.delete(first.id)
        await courses.create(ConformanceCourse(**values))

        with pytest.raises(DuplicateError):
            await courses.restore(first.id)
        assert (1, 2) == (await courses.count(), await courses.query().include_deleted().count())


class TestSoftCascades:
    """Children go with their parent, and come back with it."""

    @pytest.mark.capability("soft delete: children go along and come back")
    @pytest.mark.parametrize("way", ["delete", "delete_where", "session", "statement"])
    async def test_cascade(self, db_session: AsyncSession, way: str) -> None:
        """However a parent is deleted; those that were deleted before stay so."""
        courses, lessons = Courses(db_session), Lessons(db_session)
        parts = [ConformanceLesson(title="part")]
        titles = [ConformanceLesson(title="a", parts=parts), ConformanceLesson(title="b")]
        course = await courses.create(ConformanceCourse(code="c", lessons=titles))
        await lessons.delete(titles[1].id)
        db_session.expunge_all()
        if way == "delete":
            assert await courses.delete(course.id)
        elif way == "delete_where":
            assert 1 == await courses.delete_where({"code": "c"})
        elif way == "session":
            await db_session.delete(await db_session.get_one(ConformanceCourse, course.id))
            await db_session.flush()
        else:
            await db_session.execute(delete(ConformanceCourse))

        assert 0 == await lessons.count()
        assert await courses.restore(course.id)
        assert ["a", "part"] == [
            item.title for item in await lessons.query().order_by("title").execute()
        ]
        await courses.delete(course.id)
        assert await courses.hard_delete(course.id)
        assert 0 == await lessons.query().include_deleted().count()

    @pytest.mark.capability("soft delete: orphans are marked")
    async def test_orphan(self, db_session: AsyncSession) -> None:
        """A child that is taken out of a collection with delete-orphan can come back."""
        lesson = ConformanceLesson(title="a")
        course = await Courses(db_session).create(ConformanceCourse(lessons=[lesson]))
        course.lessons.remove(lesson)
        await db_session.flush()

        assert (0, True) == (await Lessons(db_session).count(), lesson.is_deleted)
        assert await Lessons(db_session).restore(lesson.id)
        await db_session.refresh(course, ["lessons"])
        assert [lesson] == course.lessons

    @pytest.mark.capability("soft delete: a child without a cascade stays")
    async def test_without_cascade(self, db_session: AsyncSession) -> None:
        """The row that it refers to is there, though nobody sees it."""
        course = await Courses(db_session).create(ConformanceCourse())
        pupil = await Pupils(db_session).create(ConformancePupil(name="p", course_id=course.id))
        await Courses(db_session).delete(course.id)
        await pupil.load(ConformancePupil.course)

        assert (None, course.id) == (pupil.course, pupil.course_id)
        assert [] == await Pupils(db_session).list({"course.id": course.id})


class TestSoftMemory:
    """A session does not show what it remembers of deleted rows."""

    @pytest.mark.capability("soft delete: invisible in the session that deleted")
    async def test_memory(self, db_session: AsyncSession) -> None:
        """By key, in loaded collections, and to merges and updates by key."""
        titles = [ConformanceLesson(title="a"), ConformanceLesson(title="b")]
        course = await Courses(db_session).create(ConformanceCourse(lessons=titles))
        gone = course.lessons[0]
        await db_session.delete(gone)
        await db_session.flush()

        assert await db_session.get(ConformanceLesson, gone.id) is None
        assert ["b"] == [lesson.title for lesson in course.lessons]
        with pytest.raises(NotFoundError):
            await db_session.merge(ConformanceLesson(id=gone.id, title="back"))
        with pytest.raises(NotFoundError):
            await db_session.execute(update(ConformanceLesson), [{"id": gone.id, "title": "back"}])
        with pytest.raises(NotFoundError):
            await db_session.get_one(ConformanceLesson, gone.id)
        assert ["b"] == list(await db_session.scalars(select(ConformanceLesson.title)))
