"""The schema: strict tables, rows that stay, twins that read well, and migrations that end where fresh files start."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from engine.core.errors import BadInput
from engine.store.connection import open_reader, open_writer, sqlite
from engine.store.layouts import LAYOUTS
from engine.store.migrate import default_path, migrate_from_nothing, open_current_reader, upgrade
from engine.store.schema import METADATA, SCHEMA_REVISION
from engine.store.triggers import APPEND_ONLY, STATE_COLUMNS
from engine.store.views import VIEWS
from engine.store.vocabulary import VOCABULARY


def _described(path: Path) -> dict[str, Any]:
    # Everything that a database is made of, apart from white space.
    connection = open_reader(path)
    try:
        objects = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
        made: dict[str, Any] = {
            f"{kind} {name}": (table, re.sub(r"\s+", " ", re.sub(r"\s*([(),])\s*", r"\1", sql or "")).strip())
            for kind, name, table, sql in objects
        }
        for kind, name, _, _ in objects:
            if kind == "table":
                for pragma in ("table_xinfo", "foreign_key_list", "index_list"):
                    made[f"{pragma} {name}"] = connection.execute(f"PRAGMA {pragma}({name})").fetchall()
        made["flags"] = sorted(row[1:] for row in connection.execute("PRAGMA table_list"))
        for name in VOCABULARY:
            made[f"words {name}"] = connection.execute(f"SELECT name FROM {name} ORDER BY name").fetchall()
        made["revision"] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        return made
    finally:
        connection.close()


def test_a_migrated_database_is_a_fresh_one(tmp_path: Path) -> None:
    fresh, migrated = tmp_path / "fresh.sqlite", tmp_path / "migrated.sqlite"
    assert upgrade(fresh) == SCHEMA_REVISION
    migrate_from_nothing(migrated)
    one, other = _described(fresh), _described(migrated)
    assert one.keys() == other.keys()
    assert {name: (one[name], other[name]) for name in one if one[name] != other[name]} == {}


def test_an_upgrade_of_a_current_database_keeps_everything(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    before = _described(store.path)
    assert upgrade(store.path) == SCHEMA_REVISION
    assert _described(store.path) == before
    assert store.rows("SELECT count(*) FROM inputs") == [(len(history),)]


def test_every_table_is_strict(tmp_path: Path) -> None:
    upgrade(tmp_path / "x.sqlite")
    strict = {row[1]: row[5] for row in _described(tmp_path / "x.sqlite")["flags"] for row in [("", *row)]}
    loose = {name for name, is_strict in strict.items() if not is_strict}
    assert {name for name in loose if name in METADATA.tables} == set()


def test_a_strict_column_refuses_another_type(make_store: Callable[..., Any]) -> None:
    store = make_store()
    with pytest.raises(sqlite.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        store.rows(
            "INSERT INTO inputs (account_id, kind, venue_ts_ns, received_ts_ns, hash) "
            "VALUES (1, 'Tick', 'noon', 0, x'00')"
        )


def test_an_unknown_word_is_refused(make_store: Callable[..., Any]) -> None:
    store = make_store()
    with pytest.raises(sqlite.IntegrityError, match="FOREIGN KEY"):
        store.rows(
            "INSERT INTO inputs (account_id, kind, venue_ts_ns, received_ts_ns, hash) VALUES (1, 'Rumour', 0, 0, x'00')"
        )


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_rows_of_a_journal_stay_as_they_were_written(make_store: Callable[..., Any], history: Any, table: str) -> None:
    store = make_store()
    store.write(history)
    if not store.rows(f"SELECT 1 FROM {table} LIMIT 1"):
        _insert_any(store, table)
    for statement in (f"UPDATE {table} SET account_id = account_id", f"DELETE FROM {table}"):
        with pytest.raises(sqlite.IntegrityError, match="append-only"):
            store.rows(statement)


def _insert_any(store: Any, table: str) -> None:
    # Tables that this history leaves empty: a row of ones will do, with keys that exist.
    columns = [column for column in METADATA.tables[table].columns if column.computed is None and column.name != "id"]
    words = {"strategy_id": "'scripted'", "kind": "'split'", "from_state": "'ACTIVE'", "to_state": "'HALTED'"}
    words |= {"suspense": {"kind": "'oversold'"}}.get(table, {})
    if table == "breaker_events":
        words |= {"breaker": "'drawdown'", "from_state": "'ARMED'", "to_state": "'TRIPPED'", "trigger": "'reset'"}
    if table == "external_orders":
        words |= {"side": "'buy'", "order_type": "'market'", "status": "'working'"}
    words |= {"position_comparisons": {"verdict": "'drift'"}}.get(table, {})
    values = ", ".join(words.get(column.name, "1") for column in columns)
    store.rows(f"INSERT INTO {table} ({', '.join(column.name for column in columns)}) VALUES ({values})")


def test_the_epoch_of_a_lease_only_rises(make_store: Callable[..., Any]) -> None:
    store = make_store()
    insert = (
        "INTO leases (account_id, epoch, owner, acquired_ts_ns, renewed_ts_ns, released) VALUES (1, {}, 'a', 1, 1, 0)"
    )
    store.rows(f"INSERT {insert.format(4)}")
    for statement, sentence in {
        "UPDATE leases SET epoch = 3": "only rises",
        "DELETE FROM leases": "never removed",
        f"INSERT OR REPLACE {insert.format(1)}": "one lease",
    }.items():
        with pytest.raises(sqlite.IntegrityError, match=sentence):
            store.rows(statement)
    store.rows("UPDATE leases SET epoch = 5")
    store.rows("UPDATE leases SET released = 1")
    assert store.rows("SELECT epoch, released FROM leases") == [(5, 1)]


@pytest.mark.parametrize("table", STATE_COLUMNS)
def test_what_was_decided_never_changes(make_store: Callable[..., Any], history: Any, table: str) -> None:
    store = make_store()
    store.write(history)
    with pytest.raises(sqlite.IntegrityError, match="never changes"):
        store.rows(f"UPDATE {table} SET symbol = 'QQQ'")
    with pytest.raises(sqlite.IntegrityError, match="never removed"):
        store.rows(f"DELETE FROM {table}")
    assert store.rows(f"UPDATE {table} SET version = version RETURNING 1")


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("trades", "id, timestamp, symbol, side, price, quantity"),
        ("orders", "id, client_order_id, status, symbol, quantity, submit_timestamp, fill_timestamp"),
        ("positions", "symbol, quantity, average_entry_price"),
        ("equity_curve", "timestamp, portfolio_value"),
    ],
)
def test_columns_that_people_expect(make_store: Callable[..., Any], history: Any, table: str, columns: str) -> None:
    store = make_store()
    store.write(history)
    assert store.rows(f"SELECT {columns} FROM {table}")


def test_twins_read_as_a_person_expects(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    assert store.rows("SELECT timestamp, symbol, side, price, quantity FROM trades ORDER BY id LIMIT 2") == [
        ("2024-03-26T13:32:00.000Z", "SPY", "buy", 100.01, 40.0),
        ("2024-03-26T13:32:00.000Z", "SPY", "buy", 100.03, 60.0),
    ]
    assert store.rows("SELECT timestamp, portfolio_value FROM equity_curve LIMIT 1") == [
        ("2024-03-26T13:31:00.000Z", 100_000.0)
    ]


@pytest.mark.parametrize(
    ("ts_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_704_205_799_999_999_999, "2024-01-02T14:29:59.999Z"),
        (1_709_251_199_123_500_000, "2024-02-29T23:59:59.123Z"),
    ],
)
def test_moments_are_cut_to_milliseconds(make_store: Callable[..., Any], ts_ns: int, text: str) -> None:
    store = make_store(name="early")
    store.rows(f"UPDATE accounts SET opened_ts_ns = {ts_ns}")
    assert store.rows("SELECT opened_timestamp FROM accounts") == [(text,)]


def test_rows_name_columns_that_exist() -> None:
    for layout in LAYOUTS:
        columns = METADATA.tables[layout.table].columns
        assert all(columns[name].computed is None for name in layout.columns)


def test_the_tables_compile_for_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    texts = {table.name: str(CreateTable(table).compile(dialect=dialect)) for table in METADATA.sorted_tables}
    assert "TIMESTAMP WITHOUT TIME ZONE GENERATED ALWAYS AS" in texts["bars"]
    assert "DOUBLE PRECISION" in texts["bars"]
    assert "BIGINT" in texts["inputs"]


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    upgrade(path)
    connection = open_writer(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for use in (upgrade, open_current_reader):
        with pytest.raises(BadInput, match=r"'9999', newer than .* install a newer version"):
            use(path)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = open_writer(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(BadInput, match=r"not one of this program .it holds recipes"):
        upgrade(path)


def test_an_empty_database_asks_for_an_upgrade_when_read(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    path.touch()
    with pytest.raises(BadInput, match="ratchet db upgrade"):
        open_current_reader(path)


def test_the_default_path_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RATCHET_DB", raising=False)
    assert default_path() == Path("ratchet.sqlite")
    monkeypatch.setenv("RATCHET_DB", str(tmp_path / "mine.sqlite"))
    assert default_path() == tmp_path / "mine.sqlite"


def test_the_data_dictionary_names_every_table_view_and_twin(repository: Path) -> None:
    page = repository / "docs" / "database.md"
    if not page.is_file():
        pytest.skip("the documentation is not part of an installed package")
    words = set(re.findall(r"`(\w+)`", page.read_text()))
    assert {*METADATA.tables, *VIEWS} - words == set()
    twins = {
        column.name for table in METADATA.tables.values() for column in table.columns if column.computed is not None
    }
    assert twins - words == set()


def test_the_data_dictionary_names_every_column_of_why(repository: Path, tmp_path: Path) -> None:
    page = repository / "docs" / "database.md"
    if not page.is_file():
        pytest.skip("the documentation is not part of an installed package")
    upgrade(tmp_path / "x.sqlite")
    connection = open_reader(tmp_path / "x.sqlite")
    columns = {row[1] for row in connection.execute("PRAGMA table_info(v_why)")}
    connection.close()
    part = page.read_text().partition("### `v_why`")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", part)) - {"v_slippage"} == columns
