"""The error tree: drawn as it is, and kept whole when an error travels."""

import copy
import inspect
import pickle
import re

import pytest

from andamios import errors

EXAMPLES: dict[str, errors.AndamiosError] = {
    "MissingDependencyError": errors.MissingDependencyError("asyncpg", "postgres"),
    "LazyLoadError": errors.LazyLoadError("User", "posts"),
    "FieldValidationError": errors.FieldValidationError("User", "age", "too young", -1),
    "StaleVersionError": errors.StaleVersionError("lost", expected=1, actual=2),
    "DuplicateError": errors.DuplicateError(
        "twice", constraint="uq", columns=("a", "b"), table="t", statement="INSERT", code="23505"
    ),
}

CLASSES = [getattr(errors, name) for name in errors.__all__]


def example(kind: type[errors.AndamiosError]) -> errors.AndamiosError:
    """Make an error of a class."""
    return EXAMPLES.get(kind.__name__) or kind("what happened")


def test_tree_is_drawn_as_it_is() -> None:
    """Each class stands in the drawing below its base."""
    lines = re.findall(r"^ {4}([│├└─ ]*)(\w+Error)", inspect.getdoc(errors) or "", re.MULTILINE)
    lines = lines or re.findall(
        r"^([│├└─ ]*)(\w+Error)", inspect.getdoc(errors) or "", re.MULTILINE
    )
    drawn, path = {}, ["AndamiosError"]
    for indent, name in lines[1:]:
        depth = len(indent) // 4
        path = [*path[:depth], name]
        drawn[name] = path[depth - 1]
    bases = {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}
    del bases["AndamiosError"]
    assert bases == drawn


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_an_andamios_error(kind: type[errors.AndamiosError]) -> None:
    """One ``except`` catches them all."""
    assert issubclass(kind, errors.AndamiosError)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.MissingDependencyError, ImportError),
        (errors.NotFoundError, LookupError),
        (errors.FieldValidationError, ValueError),
        (errors.ReadOnlyError, AttributeError),
    ],
)
def test_errors_that_python_knows(kind: type[Exception], builtin: type[Exception]) -> None:
    """Some are also what Python itself raises for the same reason."""
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("how", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_error_survives_a_process(kind: type[errors.AndamiosError], how: object) -> None:
    """A pool of processes gives back the same error, with its facts."""
    error = example(kind)
    again = how(error)  # type: ignore[operator]
    assert (type(error), str(error), vars(error)) == (type(again), str(again), vars(again))


@pytest.mark.parametrize("kind", CLASSES)
def test_message_is_one_line(kind: type[errors.AndamiosError]) -> None:
    """A message fits a line of a log."""
    assert 1 == len(str(example(kind)).splitlines())


def test_missing_dependency_says_what_to_install() -> None:
    """The message is a command to run."""
    error = errors.MissingDependencyError("asyncpg", "postgres")
    assert "'asyncpg' is not installed. Run: pip install 'andamios[postgres]'" == str(error)
