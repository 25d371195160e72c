"""The tour has left what it promises: a full database, a picture, and nothing half-done."""

import sqlite3
import sys
from pathlib import Path

ROWS = {"airline": 16, "airport": 1_458, "plane": 3_322, "weather": 26_115, "flight": 336_776}
PNG = b"\x89PNG\r\n\x1a\n"


def main() -> None:
    """Fail on the first thing that is not so."""
    folder = Path(sys.argv[1])
    (database,) = folder.rglob("*.db")
    connection = sqlite3.connect(database)
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    counts = {
        table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
        for table in tables
    }
    for word, expected in ROWS.items():
        assert expected in [n for table, n in counts.items() if word in table], (word, counts)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    (picture,) = folder.rglob("*.png")
    content = picture.read_bytes()
    assert content.startswith(PNG), picture
    assert len(content) > 20_000, "the picture is nearly empty"
    left = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert left == sorted([database.name, picture.name]), left
    print("tour:", counts, picture.name, len(content), "bytes")


main()
