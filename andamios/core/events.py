"""Where an engine translates errors: at the two places at which SQLAlchemy meets the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, event, exc

from andamios.core.commits import mark_commit_errors, name_lost_commit
from andamios.core.listening import listen
from andamios.core.tls import explain
from andamios.core.translation import translate, unclassified
from andamios.errors import AndamiosError, ConfigurationError, ConnectionFailedError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["translate_errors"]

HINTS: dict[str | int | None, str] = {
    None: "Is the server running, and are host, port, user, password and database right?",
    **dict.fromkeys(("28P01", "28000", 1045), "The user or the password is wrong."),
    **dict.fromkeys(("3D000", 1049), "There is no such database on that server."),
    "08P01": (
        "A pooler such as PgBouncer refuses: user or password are wrong, or one of the "
        "server_settings is none that it knows (its own setting: ignore_startup_parameters)."
    ),
    **dict.fromkeys(("53300", 1040), "The server has as many connections as it allows."),
    2003: "Nobody listens there. Is the server running, and are host and port right?",
}
"""What to do, by the database's code: SQLSTATE of PostgreSQL, number of MySQL."""


def translate_errors(engine: AsyncEngine) -> None:
    """Make everything that runs on this engine raise Andamios errors."""
    listen(engine.sync_engine, "handle_error", _translate, retval=True)
    mark_commit_errors(engine.dialect)

    def connect(dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        # Drivers raise OSError, time-outs and errors of their own here, and SQLAlchemy
        # would let some of them pass as they are.
        try:
            return dialect.connect(*args, **options)
        except (OSError, TimeoutError, dialect.loaded_dbapi.Error) as error:
            advice = explain(error) if options.get("ssl") else None
            raise _connection_failed(engine.url, error, advice) from error
        except (TypeError, ValueError) as error:
            message = f"The driver refuses an option of the URL or of connect_args: {error}"
            raise ConfigurationError(message) from error

    event.listen(engine.sync_engine, "do_connect", connect)


def _translate(context: ExceptionContext) -> AndamiosError | None:
    options = getattr(context.execution_context, "execution_options", {})
    if options.get("skip_user_error_events"):
        # A dialect asks by trial, and reads SQLAlchemy's error itself.
        return None
    error = translate(
        context.original_exception,
        statement=context.statement,
        table=_written_table(context),
        is_disconnect=context.is_disconnect and isinstance(context.original_exception, Exception),
    )
    if error is None and isinstance(context.sqlalchemy_exception, exc.StatementError):
        return unclassified(context.sqlalchemy_exception)
    return name_lost_commit(error, context)


def _written_table(context: ExceptionContext) -> Table | None:
    compiled: Any = getattr(context.execution_context, "compiled", None)
    if compiled is None or getattr(compiled, "isdelete", True):
        # What a DELETE breaks is a rule of the tables that refer to this one; DDL writes no rows.
        return None
    table = getattr(getattr(compiled, "statement", None), "table", None)
    return table if isinstance(table, Table) else None


def _connection_failed(url: URL, error: BaseException, advice: str | None) -> ConnectionFailedError:
    known = translate(error, is_disconnect=True)
    where = f"{url.host}:{url.port}" if url.host and url.port else url.host or url.database
    # An OSError names an address and a reason, never a secret; a driver's text may
    # quote the user, so its code stands for it.
    reason = str(error) if isinstance(error, OSError) else known.code if known else None
    where = f"{url.get_backend_name()} at {where} ({reason or type(error).__name__})"
    hint = HINTS.get(known.code if known else None, HINTS[None])
    if url.get_backend_name() == "sqlite":
        hint = "Does the folder exist, and may this user write to it and to the file?"
    return ConnectionFailedError(
        f"Cannot connect to {where}. {advice or hint}", code=known.code if known else None
    )
