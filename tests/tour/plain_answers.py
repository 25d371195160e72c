"""
The tour's answers again, with nothing but Python's csv and sqlite3.

Reads the same files and shares no code with the tour, so that both can only agree by being
right. ``python tests/tour/plain_answers.py DIRECTORY`` prints them as JSON.
"""

import csv
import io
import json
import sqlite3
import sys
import zipfile
from pathlib import Path

KEYS = {
    "airlines": "carrier",
    "airports": "faa",
    "planes": "tailnum",
    "weather": "origin, time_hour",
    "flights": "carrier",
}

TEXTS = {
    *("carrier", "dest", "dst", "engine", "faa", "manufacturer", "model", "name", "origin"),
    *("tailnum", "time_hour", "type", "tzone"),
}

ONE_FLIGHT = """
    SELECT airlines.name AS airline, departure.name AS "from", arrival.name AS "to",
           planes.model AS plane, weather.wind_speed AS wind, flights.dep_delay AS delay
    FROM flights JOIN airlines USING (carrier)
    JOIN airports AS departure ON departure.faa = flights.origin
    JOIN airports AS arrival ON arrival.faa = flights.dest
    JOIN planes USING (tailnum)
    JOIN weather ON weather.origin = flights.origin AND weather.time_hour = flights.time_hour
    WHERE carrier = 'UA' AND flight = 1545 AND flights.month = 1 AND flights.day = 1"""

WORST_ROUTES = """
    SELECT origin, dest, name, count(arr_delay) AS flights,
           sum(arr_delay) * 1.0 / count(arr_delay) AS delay
    FROM flights LEFT JOIN airports ON faa = dest
    GROUP BY origin, dest HAVING count(arr_delay) >= 365
    ORDER BY delay DESC, origin, dest LIMIT 10"""

AIRLINES = """
    SELECT name, count(*) AS flights, sum(dep_delay) * 1.0 / count(dep_delay) AS delay,
           sum(arr_delay < 15) * 100.0 / count(arr_delay) AS on_time
    FROM flights JOIN airlines USING (carrier) GROUP BY carrier ORDER BY name"""

SCHEDULED_HOURS = """
    SELECT hour, count(*) AS flights, sum(dep_delay) * 1.0 / count(*) AS delay
    FROM flights WHERE dep_delay IS NOT NULL GROUP BY hour ORDER BY hour"""

PLANE_AGES = """
    SELECT min((2013 - planes.year) / 5 * 5, 25) AS age_from,
           count(DISTINCT tailnum) AS planes, count(*) AS flights,
           sum(dep_delay) * 1.0 / count(dep_delay) AS delay,
           sum(arr_delay < 15) * 100.0 / count(arr_delay) AS on_time
    FROM flights JOIN planes USING (tailnum) WHERE planes.year IS NOT NULL
    GROUP BY age_from ORDER BY age_from"""

WIND = """
    SELECT min(CAST(wind_speed / 5 AS INTEGER) * 5, 30) AS mph_from, count(*) AS flights,
           sum(dep_delay) * 1.0 / count(*) AS delay
    FROM flights JOIN weather USING (origin, time_hour)
    WHERE wind_speed IS NOT NULL AND dep_delay IS NOT NULL GROUP BY mph_from ORDER BY mph_from"""

PAGES = """
    SELECT row_number() OVER (ORDER BY dep_delay DESC) / 6 + 1 AS page, name AS airline,
           carrier || ' ' || flight AS flight, origin AS "from", dest AS "to", dep_delay AS delay
    FROM flights JOIN airlines USING (carrier)
    WHERE dep_delay IS NOT NULL ORDER BY dep_delay DESC LIMIT 10"""

TWO_EDITORS = """SELECT 1 AS "he read version", 2 AS "it is version", 160 AS seats"""

AIRLINE_THAT_CLOSED = """
    WITH known AS (SELECT count(*) AS airlines FROM airlines),
         its AS (SELECT count(*) AS flights FROM flights WHERE carrier = 'HA'),
         steps ("when", closed) AS (VALUES ('before', 0), ('deleted', 1), ('restored', 0))
    SELECT "when", airlines - closed AS airlines, airlines AS "with deleted",
           flights * (1 - closed) AS "its flights"
    FROM steps, known, its"""

CHANGE_OF_MIND = """
    SELECT count(*) AS "flights before", count(*) AS deleted, count(*) AS "flights after"
    FROM flights WHERE carrier = 'UA'"""

QUERIES = {
    "one_flight": ONE_FLIGHT,
    "worst_routes": WORST_ROUTES,
    "airlines": AIRLINES,
    "scheduled_hours": SCHEDULED_HOURS,
    "plane_ages": PLANE_AGES,
    "wind": WIND,
    "pages": PAGES,
    "two_editors": TWO_EDITORS,
    "airline_that_closed": AIRLINE_THAT_CLOSED,
    "change_of_mind": CHANGE_OF_MIND,
}


def plain_answers(directory: Path) -> dict[str, list[dict[str, object]]]:
    """Load the files into memory and answer every question of the tour, by its name."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    for table in KEYS:
        _load(connection, table, directory)
    answers = {
        name: [_rounded(dict(row)) for row in connection.execute(query)]
        for name, query in QUERIES.items()
    }
    connection.close()
    return answers


def _load(connection: sqlite3.Connection, table: str, directory: Path) -> None:
    path = directory / f"{table}.csv"
    if path.exists():
        text = path.read_text(encoding="utf-8")
    else:
        with zipfile.ZipFile(directory / f"{table}.csv.zip") as archive:
            text = archive.read(f"{table}.csv").decode()
    lines = csv.reader(io.StringIO(text))
    names = next(lines)
    columns = (f"{name} {'TEXT' if name in TEXTS else 'NUMERIC'}" for name in names)
    connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
    marks = ", ".join("?" * len(names))
    rows = ([None if value == "NA" else value for value in line] for line in lines)
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    connection.execute(f"CREATE INDEX {table}_key ON {table} ({KEYS[table]})")


def _rounded(row: dict[str, object]) -> dict[str, object]:
    return {k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(plain_answers(Path(sys.argv[1])), indent=2) + "\n")
