"""What is shipped works alone: run from an empty folder, with the wheel and no extras."""

import importlib.util
import subprocess
import sys
from importlib.metadata import distribution, files
from pathlib import Path

from sqlalchemy.orm import Mapped

import andamios
from andamios import AndamiosEngine, BaseModel, GenericRepository


class Thing(BaseModel):
    """A table."""

    name: Mapped[str]


async def write_and_read() -> str:
    """Use the library as its smallest program would."""
    async with AndamiosEngine("sqlite:///shipped.db") as engine:
        await engine.create_all(BaseModel)
        things = GenericRepository[Thing](engine)
        created = await things.create(Thing(name="first"))
        return (await things.get_one(created.id)).name


def main() -> None:
    """Fail on the first thing that is not so."""
    assert "site-packages" in andamios.__file__, andamios.__file__
    assert andamios.run(write_and_read()) == "first"
    for extra in ("asyncpg", "aiomysql", "redis", "typer", "pytest"):
        assert importlib.util.find_spec(extra) is None, f"{extra} came without its extra"
    shipped = {str(path) for path in files("andamios") or ()}
    for part in ("andamios/py.typed", "harness/containers/images/mysql/Dockerfile"):
        assert part in shipped, f"{part} is not in the wheel"
    assert not [path for path in shipped if path.startswith("tests/")]
    done = subprocess.run(
        [sys.executable, "-m", "andamios"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0, "the command line needs an extra"
    assert "andamios[cli]" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    Path("shipped.db").unlink()
    print("andamios", distribution("andamios").version, "works from", andamios.__file__)


main()
