"""The repository contract in somebody else's project, which knows nothing of Andamios' tests."""

import pytest

PLUGINS = ("-pharness.plugin", "-ppytest_asyncio.plugin", "-pno:cacheprovider", "-pno:xdist")

CITIES = """
    import dataclasses
    import pytest
    from andamios import DuplicateError, IRepository, NotFoundError, UnknownFieldError
    from harness.conformance.repository import RepositoryContract

    @dataclasses.dataclass(frozen=True)
    class City:
        name: str
        code: str | None = None

    class Cities(IRepository[City]):
        def __init__(self):
            self.rows = {}

        async def get_by_id(self, id):
            return self.rows.get(id)

        async def create(self, entity):
            key = entity.code or f"code of {entity.name}"
            if key in self.rows:
                raise DuplicateError(key)
            self.rows[key] = dataclasses.replace(entity, code=key)
            return self.rows[key]

        async def update(self, entity):
            if entity.code not in self.rows:
                raise NotFoundError("no such city")
            self.rows[entity.code] = entity
            return entity

        async def delete(self, id):
            return self.rows.pop(id, None) is not None

        async def list(self, filters=None):
            filters = filters or {}
            if unknown := filters.keys() - {"name", "code"}:
                raise UnknownFieldError(f"no such field: {unknown}")
            rows = self.rows.values()
            return [row for row in rows if all(getattr(row, k) == v for k, v in filters.items())]
    """

FIVE_LINES = """
    class TestCities(RepositoryContract):
        key_names = ("code",)
        @pytest.fixture
        def repository(self): return Cities()
        def new_entity(self, number): return City(f"city {number}")
    """


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Runs of pytest whose plugin for asyncio is strict, as it is where nobody set it."""
    pytester.makeini(
        "[pytest]\nasyncio_mode = strict\nasyncio_default_fixture_loop_scope = function"
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


def run(inner: pytest.Pytester, contract: str) -> pytest.RunResult:
    """Run the contract in a module of its own."""
    inner.makepyfile(CITIES + contract)
    return inner.runpytest_inprocess(*PLUGINS)


def test_five_lines(inner: pytest.Pytester) -> None:
    """A fake with frozen objects and keys of text keeps it; importing it collects nothing."""
    result = run(inner, FIVE_LINES)

    result.assert_outcomes(passed=14)


def test_broken(inner: pytest.Pytester) -> None:
    """A fake that breaks it fails the tests of what it breaks, which show what they compared."""
    result = run(inner, f"{FIVE_LINES}\n    Cities.delete = Cities.get_by_id")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*assert City(name='city 1', code='code of city 1') is True*", "FAILED *::test_delete *"]
    )


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("def repository", "TestCities has no fixture repository(self)"),
        ("def new_entity", "TestCities has no method new_entity(self, number)"),
    ],
)
def test_incomplete(inner: pytest.Pytester, left_out: str, message: str) -> None:
    """Whoever forgets a part is told which."""
    lines = [line for line in FIVE_LINES.split("\n") if left_out not in line]
    lines = [line for line in lines if "fixture" not in line or left_out != "def repository"]
    result = run(inner, "\n".join(lines))

    result.stdout.fnmatch_lines([f"*NotImplementedError: {message}"])


def test_objects_that_are_all_the_same(inner: pytest.Pytester) -> None:
    """Objects that cannot be told apart would prove nothing."""
    result = run(inner, FIVE_LINES.replace('f"city {number}"', '"Lima"'))

    result.stdout.fnmatch_lines(["*new_entity(1), (2) and (3) do not differ in any field*"])
