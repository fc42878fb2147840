"""When a trade settles: the schedule by trade date, and the business days of the instrument's calendar.

Sources: SEC rule 15c6-1 and its amendments (T+2 from 2017-09-05: release 34-80295; T+1 from 2024-05-28: release
34-96930), T+3 before. On Columbus Day and Veterans Day the exchange is open and the banks are not: it trades, and
nothing settles (FINRA's yearly notices of settlement dates).
"""

from __future__ import annotations

from typing import Final

from engine.core.errors import BadInput
from engine.core.values import DAY_NS, SECOND_NS, AssetClass, Instrument, Session, Sessions

#: From trade date on: business days until shares and money change hands.
SETTLEMENT_DAYS: Final = (("1995-06-07", 3), ("2017-09-05", 2), ("2024-05-28", 1))

# Columbus Day and Veterans Day of 2000 to 2030, where they are no weekend.
_BANKS_CLOSED: Final = """
2000-10-09 2001-10-08 2001-11-12 2002-10-14 2002-11-11 2003-10-13 2003-11-11 2004-10-11 2004-11-11 2005-10-10
2005-11-11 2006-10-09 2007-10-08 2007-11-12 2008-10-13 2008-11-11 2009-10-12 2009-11-11 2010-10-11 2010-11-11
2011-10-10 2011-11-11 2012-10-08 2012-11-12 2013-10-14 2013-11-11 2014-10-13 2014-11-11 2015-10-12 2015-11-11
2016-10-10 2016-11-11 2017-10-09 2018-10-08 2018-11-12 2019-10-14 2019-11-11 2020-10-12 2020-11-11 2021-10-11
2021-11-11 2022-10-10 2022-11-11 2023-10-09 2024-10-14 2024-11-11 2025-10-13 2025-11-11 2026-10-12 2026-11-11
2027-10-11 2027-11-11 2028-10-09 2029-10-08 2029-11-12 2030-10-14 2030-11-11
"""

#: Days on which the exchange has a session and nothing settles, by calendar.
BANK_HOLIDAYS: Final[dict[str, frozenset[str]]] = {"XNYS": frozenset(_BANKS_CLOSED.split())}

#: A trade up to four hours after a session's close (the evening session) has that session's date; later the next one's.
_EVENING_NS: Final = 4 * 3_600 * SECOND_NS
#: Reckoned for a business day beyond the calendar's last one: no chain of closed days is longer.
_BEYOND_NS: Final = 5 * DAY_NS


def settlement_ts_ns(instrument: Instrument, sessions: Sessions, ts_ns: int) -> int:
    """Return when a trade at a moment settles, ns UTC: at the open of its settlement date; crypto at once.

    Where the calendar ends before that date it is reckoned late rather than early.
    """
    if instrument.asset_class is AssetClass.CRYPTO:
        return ts_ns
    traded = sessions.session_from(ts_ns - _EVENING_NS)
    closed = BANK_HOLIDAYS.get(sessions.name, frozenset())
    days = next((days for start, days in reversed(SETTLEMENT_DAYS) if start <= traded.date), SETTLEMENT_DAYS[0][1])
    session: Session = traded
    while days:
        try:
            session = sessions.session_from(session.close_ts_ns)
        except BadInput:
            return session.open_ts_ns + days * _BEYOND_NS
        days -= session.date not in closed
    return session.open_ts_ns
