"""``andamios migrate``: what MigrationManager does, from the command line."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from andamios.cli.options import AsJson, DatabaseUrl, Models, engine_of, import_models
from andamios.cli.output import print_json, print_lines, print_table
from andamios.cli.stopping import one_line_errors, stopped_by_signals
from andamios.core.loop import run

__all__ = ["migrate"]

T = TypeVar("T")

DIFFERENT = 1

Directory = Annotated[Path, typer.Option(help="The folder of the migrations.")]
DIRECTORY = Path("migrations")

migrate = typer.Typer(no_args_is_help=True, help="Bring a schema to where the models are.")


def _with(
    work: Callable[[Any], Awaitable[T]], url: str | None, directory: Path, models: str | None = None
) -> T:
    """Run something with a manager, and say in one line what goes wrong."""

    async def main() -> T:
        from andamios.migrations import MigrationManager  # noqa: PLC0415  an extra

        engine = engine_of(url)
        try:
            return await work(MigrationManager(engine, directory, metadata=metadata))
        finally:
            await engine.close()

    with one_line_errors():
        metadata = import_models(models)
        return run(stopped_by_signals(main()))


@migrate.command()
def generate(
    message: Annotated[str, typer.Argument(help="What changes.")],
    models: Models = None,
    database_url: DatabaseUrl = None,
    directory: Directory = DIRECTORY,
    empty: Annotated[bool, typer.Option(help="Write a script even if nothing differs.")] = False,
) -> None:
    """Write a migration with what differs between the models and the database."""
    made = _with(
        lambda manager: manager.generate_migration(message, allow_empty=empty),
        database_url,
        directory,
        models,
    )
    print_lines([f"Generated {made} in {directory}. Read it before you apply it."])


@migrate.command()
def apply(
    target: Annotated[str, typer.Argument(help="The last revision to apply.")] = "head",
    database_url: DatabaseUrl = None,
    directory: Directory = DIRECTORY,
) -> None:
    """Apply the migrations that the database lacks."""

    def report(record: Any, done: int, total: int) -> None:
        print_lines([f"{done}/{total} {record.revision} {record.message}"])

    applied = _with(
        lambda manager: manager.apply_migrations(target, progress=report), database_url, directory
    )
    print_lines([f"Applied {len(applied)}." if applied else "Nothing to apply."])


@migrate.command()
def rollback(
    revision: Annotated[str, typer.Argument(help="Where to; 'base' undoes everything.")],
    database_url: DatabaseUrl = None,
    directory: Directory = DIRECTORY,
) -> None:
    """Undo the migrations after a revision."""
    undone = _with(lambda manager: manager.rollback_migration(revision), database_url, directory)
    print_lines([f"Undone: {', '.join(undone)}" if undone else "Nothing to undo."])


@migrate.command()
def history(
    database_url: DatabaseUrl = None, directory: Directory = DIRECTORY, as_json: AsJson = False
) -> None:
    """List all migrations, oldest first, and which of them the database has."""
    records = _with(lambda manager: manager.history(), database_url, directory)
    rows = [
        {
            "revision": record.revision,
            "message": record.message,
            "applied": record.is_applied,
            "head": record.is_head,
        }
        for record in records
    ]
    print_json(rows) if as_json else print_table(rows)


@migrate.command()
def check(
    models: Models = None,
    database_url: DatabaseUrl = None,
    directory: Directory = DIRECTORY,
    as_json: AsJson = False,
) -> None:
    """Compare models and database; ends with 1 when they differ."""
    differences = _with(lambda manager: manager.check(), database_url, directory, models)
    if as_json:
        print_json(differences)
    else:
        print_lines(differences or ["Models and database agree."])
    if differences:
        raise typer.Exit(DIFFERENT)


@migrate.command()
def stamp(
    revision: Annotated[str, typer.Argument(help="For instance head.")],
    database_url: DatabaseUrl = None,
    directory: Directory = DIRECTORY,
) -> None:
    """Write down that the database is at a revision, and run nothing."""
    _with(lambda manager: manager.stamp(revision), database_url, directory)
    print_lines([f"The database counts as being at {revision}."])


@migrate.command()
def lint(
    backend: Annotated[str | None, typer.Option(help="Default: the database's.")] = None,
    since: Annotated[str, typer.Option(help="Look only at migrations after this one.")] = "base",
    database_url: DatabaseUrl = None,
    directory: Directory = DIRECTORY,
) -> None:
    """Find what locks tables or loses data, and the safe way to write it; 1 when there is any."""
    findings = _with(
        lambda manager: manager.lint(backend=backend, since=since),
        # Scripts are read, and no database is asked.
        "sqlite://" if backend is not None else database_url,
        directory,
    )
    print_lines(findings or ["Nothing found."])
    if findings:
        raise typer.Exit(DIFFERENT)


@migrate.command()
def sql(
    target: Annotated[str, typer.Argument(help="The last revision.")] = "head",
    database_url: DatabaseUrl = None,
    directory: Directory = DIRECTORY,
) -> None:
    """Print the SQL that apply would run."""
    print_lines([_with(lambda manager: manager.sql(target), database_url, directory)])
