import asyncio
import subprocess
import sys

WITHOUT_ALEMBIC = """
import sys
sys.modules["alembic"] = None
import andamios
try:
    import andamios.migrations
except andamios.MissingDependencyError as error:
    print(error.package, error.extra)
"""


async def test_without_alembic_the_error_says_what_to_install() -> None:
    """The rest of the package works without it."""

    def run() -> str:
        command = [sys.executable, "-c", WITHOUT_ALEMBIC]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "alembic migrations\n" == await asyncio.to_thread(run)
