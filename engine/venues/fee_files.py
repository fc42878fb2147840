"""Fee schedules in files: rows of dates, as CSV or as a YAML list of mappings.

| Column | Means |
| --- | --- |
| `kind` | the name of the fee: `sec`, `taf`, `cat`, `commission` … |
| `from` | the first exchange date on which the row holds, as 2024-05-22 |
| `until` | the first date on which it no longer does; empty: it goes on |
| `side` | `buy`, `sell`, or empty for both |
| `asset` | `equity`, `crypto`, or empty for both |
| `per_million`, `per_share`, `per_execution` | dollars for each million of value, share or coin, execution |
| `most` | the most that one execution pays; empty: no bound |
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from engine.core.errors import BadInput
from engine.core.values import ZERO, AssetClass, Side
from engine.venues.fees import DatedFees, FeeRow, is_date

_AMOUNTS: Final = ("per_million", "per_share", "per_execution")
_COLUMNS: Final = ("kind", "from", "until", "side", "asset", *_AMOUNTS, "most")


def read_fees(path: Path) -> DatedFees:
    """Return the schedule of a file; its name is the file's name and the first half of its SHA-256.

    Raises BadInput, with the number of the row (1 is the first below the heading), for what is no schedule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The fee schedule {path} cannot be read ({error}): name a text file.") from error
    rows = [_row(path, number, fields) for number, fields in enumerate(_records(path, text), start=1)]
    if not rows:
        raise BadInput(f"The fee schedule {path} has no row: add one, or use --fees none.")
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return DatedFees(f"{path.name}:{digest}", rows, file=path.name)


def _records(path: Path, text: str) -> Iterator[Mapping[str, str]]:
    if path.suffix == ".csv":
        for fields in csv.DictReader(text.splitlines()):
            yield {str(name): value or "" for name, value in fields.items()}
        return
    import yaml

    try:
        # As texts: a number that passed through a float would not be the number that was written.
        records: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - knows texts, lists and mappings only
    except yaml.YAMLError as error:
        raise BadInput(f"The fee schedule {path} is no YAML ({' '.join(str(error).split())}): correct it.") from error
    for number, record in enumerate(records if isinstance(records, list) else [records], start=1):
        if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
            raise BadInput(f"The fee schedule {path} has in row {number} no mapping of names to values: correct it.")
        yield record


def _row(path: Path, number: int, fields: Mapping[str, str]) -> FeeRow:
    where = f"The fee schedule {path.name} has in row {number}"
    unknown = [name for name in fields if name not in _COLUMNS]
    if unknown:
        raise BadInput(f"{where} the column {unknown[0]}: use {', '.join(_COLUMNS)}.")
    said = {name: fields.get(name, "").strip() for name in _COLUMNS}
    if not said["kind"]:
        raise BadInput(f"{where} no kind: name the fee, as in sec.")
    if not is_date(said["from"]) or (said["until"] and not is_date(said["until"])):
        raise BadInput(f"{where} the dates {said['from']!r} to {said['until']!r}: write them as 2024-05-22.")
    if said["side"] not in ("", "buy", "sell") or said["asset"] not in ("", "equity", "crypto"):
        raise BadInput(
            f"{where} the side {said['side']!r} and the asset {said['asset']!r}: use buy or sell, equity or crypto, or "
            "leave them empty."
        )
    if not any(said[name] for name in _AMOUNTS):
        raise BadInput(f"{where} no amount: fill one of {', '.join(_AMOUNTS)}, with 0 for a time without a fee.")
    amounts = {name: _number(where, name, said[name]) or ZERO for name in _AMOUNTS}
    return FeeRow(
        number=number,
        kind=said["kind"],
        start=said["from"],
        until=said["until"],
        side=Side(said["side"]) if said["side"] else None,
        asset_class=AssetClass(said["asset"]) if said["asset"] else None,
        most=_number(where, "most", said["most"]),
        **amounts,
    )


def _number(where: str, name: str, text: str) -> Decimal | None:
    if not text:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadInput(f"{where} the {name} {text!r}, which is no number: correct it.") from None
