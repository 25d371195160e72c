"""The public names: listed, sorted, and really there."""

import importlib
import pkgutil
import subprocess
import sys
import types

import pytest

import andamios

PACKAGES = ["andamios", *(f"andamios.{m.name}" for m in pkgutil.iter_modules(andamios.__path__))]

MODULES = [
    module.name
    for module in pkgutil.walk_packages(andamios.__path__, "andamios.")
    if not module.name.endswith("__main__")
]


def test_root_list_is_sorted() -> None:
    """Capitals first, as linters sort ``__all__``: constants, classes, functions."""
    names = andamios.__all__

    def kind(name: str) -> tuple[int, str]:
        is_constant = name.isupper()
        return (0 if is_constant else 1 if name[0].isupper() else 2, name)

    assert sorted(names, key=kind) == list(names)


def test_root_list_is_complete() -> None:
    """Every public object that the root imports is listed, and nothing else."""
    public = {
        name
        for name, value in vars(andamios).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(andamios.__all__)


@pytest.mark.parametrize("name", andamios.__all__)
def test_root_name_is_importable(name: str) -> None:
    """A listed name exists."""
    assert hasattr(andamios, name)


@pytest.mark.parametrize("module", MODULES)
def test_module_lists_what_it_has(module: str) -> None:
    """Every module has ``__all__``, without doubles, and each name in it exists."""
    found = importlib.import_module(module)
    names = found.__all__
    assert len(set(names)) == len(names)
    assert [] == [name for name in names if not hasattr(found, name)]


@pytest.mark.parametrize("name", ["core", "errors", "models", "queries", "repositories"])
def test_every_name_of_a_part_is_public_or_stays_in_it(name: str) -> None:
    """What the root takes from a part is the same object there."""
    part = importlib.import_module(f"andamios.{name}")
    shared = set(part.__all__) & set(andamios.__all__)
    assert shared
    assert [] == [n for n in shared if getattr(part, n) is not getattr(andamios, n)]


def test_every_error_is_public() -> None:
    """The whole error tree can be imported from the root."""
    assert set(andamios.errors.__all__) <= set(andamios.__all__)


def test_star_import() -> None:
    """``from andamios import *`` brings what is listed."""
    names: dict[str, object] = {}
    exec("from andamios import *", names)
    assert set(andamios.__all__) == names.keys() - {"__builtins__"}


def test_import_loads_no_driver_and_no_extra() -> None:
    """Importing is quick and needs no optional package, driver or event loop."""
    code = (
        "import sys, andamios; print(sorted({'asyncpg', 'aiomysql', 'asyncmy', 'aiosqlite', "
        "'uvloop', 'redis', 'typer', 'rich', 'alembic', 'tenacity'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert "[]" == done.stdout.strip()
