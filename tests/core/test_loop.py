"""The event loop: uvloop where nothing else was chosen, and nowhere else."""

import os
import subprocess
import sys

import pytest

import andamios

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist there")

SHOW = "import asyncio; show = lambda: type(asyncio.get_event_loop_policy()).__module__\n"


def output(code: str, **environ: str) -> str:
    """Run code in a process of its own, in which warnings are errors."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ANDAMIOS_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHOW + code],
        capture_output=True,
        text=True,
        check=False,
        env=clean | environ,
    )
    return (done.stdout + done.stderr).strip()


def test_engine_prefers_uvloop() -> None:
    """The first engine makes a plain ``asyncio.run`` as fast as ``andamios.run``."""
    code = """
from andamios import AndamiosEngine
AndamiosEngine("sqlite://")
async def main(): return type(asyncio.get_running_loop()).__module__
print(show(), asyncio.run(main()))
"""
    expected = "uvloop uvloop" if sys.version_info < (3, 14) else "asyncio.unix_events"
    assert output(code).startswith(expected)


CHOICES = {
    "argument": 'AndamiosEngine("sqlite://", uvloop=False)',
    "other policy": """
class Mine(asyncio.DefaultEventLoopPolicy): pass
asyncio.set_event_loop_policy(Mine())
AndamiosEngine("sqlite://")
""",
    "running loop": """
async def main(): AndamiosEngine("sqlite://")
asyncio.run(main())
""",
    "import only": "",
}


@pytest.mark.parametrize("choice", CHOICES)
def test_engine_leaves_other_choices_alone(choice: str) -> None:
    """An argument, another policy or a running loop wins; importing changes nothing."""
    code = f"from andamios import AndamiosEngine\n{CHOICES[choice]}\nprint(show())"
    assert "uvloop" not in output(code)


def test_environment_turns_it_off() -> None:
    """``ANDAMIOS_UVLOOP=0`` holds for engines and for ``andamios.run``."""
    code = """
import andamios
andamios.AndamiosEngine("sqlite://")
async def main(): return type(asyncio.get_running_loop()).__module__
print(show(), andamios.run(main()))
"""
    assert "uvloop" not in output(code, ANDAMIOS_UVLOOP="0")


def test_run_uses_uvloop() -> None:
    """``andamios.run`` needs no policy, and sets none."""
    code = """
import andamios
async def main(): return type(asyncio.get_running_loop()).__module__
print(andamios.run(main()), show())
"""
    assert "uvloop asyncio.unix_events" == output(code)


def test_run_returns_and_raises() -> None:
    """``andamios.run`` gives back what the coroutine returned or raised."""

    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise KeyError(42)

    assert 42 == andamios.run(answer())
    with pytest.raises(KeyError):
        andamios.run(fail())


def test_run_in_debug_mode() -> None:
    """``debug`` reaches the loop."""

    async def is_debug() -> bool:
        import asyncio  # noqa: PLC0415  shadowed by nothing else here

        return asyncio.get_running_loop().get_debug()

    assert (True, False) == (
        andamios.run(is_debug(), debug=True),
        andamios.run(is_debug(), debug=False),
    )
