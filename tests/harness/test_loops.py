"""Tests run on asyncio's loop, on uvloop, or on both, in every mode of pytest-asyncio."""

import asyncio
import sys

import pytest

from harness.loops import LOOPS, LoopFactories
from tests.harness.inner import run_pytest

TEST = """
    import asyncio
    import pytest
    from sqlalchemy import text

    @pytest.mark.asyncio
    async def test_loop(engine, query_log):
        async with engine.session() as session:
            assert 42 == await session.scalar(text("SELECT 42"))
        print("on", type(asyncio.get_running_loop()).__module__.split(".")[0])

    def test_plain():
        pass
    """


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("asyncio", {"test_loop[sqlite]": "asyncio"}),
        ("uvloop", {"test_loop[sqlite]": "uvloop"}),
        ("both", {"test_loop[asyncio-sqlite]": "asyncio", "test_loop[uvloop-sqlite]": "uvloop"}),
    ],
)
def test_choice(pytester: pytest.Pytester, choice: str, names: dict[str, str]) -> None:
    """Async tests run on the loop that was chosen, and their names tell when there are two."""
    result = run_pytest(pytester, TEST, f"--harness-loop={choice}", "-v", "-s")

    assert len(names) + 1 == result.parseoutcomes()["passed"]
    assert "failed" not in result.parseoutcomes()
    for name, loop in names.items():
        assert f"::{name} on {loop}" in result.stdout.str()


@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize("scope", ["function", "session"])
def test_without_a_choice(pytester: pytest.Pytester, mode: str, scope: str) -> None:
    """Nothing changes for who does not ask, and nothing warns in any mode."""
    settings = (
        f"asyncio_mode = {mode}\n"
        f"asyncio_default_fixture_loop_scope = {scope}\n"
        f"asyncio_default_test_loop_scope = {scope}"
    )
    result = run_pytest(pytester, TEST, "-v", "-s", settings=settings)

    assert 2 == result.parseoutcomes()["passed"]
    assert "::test_loop[sqlite] on asyncio" in result.stdout.str()


@pytest.mark.parametrize("fixture", ["engine", "db_session"])
def test_another_loop_than_that_of_fixtures(pytester: pytest.Pytester, fixture: str) -> None:
    """A test on a loop of its own choice is told to put its fixtures there too."""
    test = f"""
        import pytest

        @pytest.mark.asyncio(loop_scope="session")
        async def test_loop({fixture}):
            pass
        """
    refused = run_pytest(pytester, test)

    assert 1 == refused.parseoutcomes()["errors"]
    refused.stdout.fnmatch_lines(["*set asyncio_default_fixture_loop_scope = session, or leave*"])


def test_workers(pytester: pytest.Pytester) -> None:
    """Workers take the option over."""
    result = run_pytest(pytester, TEST, "--harness-loop=both", "-n1")

    assert 3 == result.parseoutcomes()["passed"]


def test_unknown_loop(pytester: pytest.Pytester) -> None:
    """A loop that nobody knows is refused."""
    result = run_pytest(pytester, TEST, "--harness-loop=trio")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*--harness-loop*invalid choice: 'trio'*"])


def test_without_pytest_asyncio(pytester: pytest.Pytester) -> None:
    """Without the plugin that has the loops, the option says so."""
    result = run_pytest(
        pytester, TEST, "--harness-loop=uvloop", "-pno:pytest_asyncio.plugin", settings=""
    )
    (line,) = [each for each in result.errlines if each]

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    assert line.startswith("ERROR: --harness-loop needs pytest-asyncio")


def test_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uvloop the option says what to do, also for both."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    for names in (("uvloop",), LOOPS[:2]):
        with pytest.raises(pytest.UsageError, match="uvloop is not installed; pip install"):
            LoopFactories(*names)


def test_asyncio_is_asyncio() -> None:
    """Plain asyncio is what it says, whatever policy the process has."""
    loop = LoopFactories("asyncio").pytest_asyncio_loop_factories()["asyncio"]()
    loop.close()

    assert isinstance(loop, asyncio.SelectorEventLoop)
