"""The second wave: a first day without a waiting room, and a second of another demand, in tranches, with one."""

import time
from dataclasses import dataclass

import psycopg
from rich.table import Table

from voucher_ledger.demo.figures import Books, Result, Verdict, read_books, throughput
from voucher_ledger.demo.grey_release import require_claimants
from voucher_ledger.demo.growth import DayOverDay, read_growth
from voucher_ledger.demo.stage import Stage
from voucher_ledger.demo.tables import print_faults, tables, text_table, verdicts_table
from voucher_ledger.replay.verify import verify
from voucher_ledger.simulate.catalogue import GROWTH
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally
from voucher_ledger.simulate.waiting import WaitingRoom

CLAIMS = 30_000
CARDS = 9_240
# Two cores keep up with so many, orders and admissions beside them: vouchers must not expire before they are used.
SENT_A_SECOND_MAX = 4_000
# Day two's claims are spread over so long a time that there is a middle in which to kill.
PLAY_SECONDS_MIN = 6
FIRST_DAY = "second-wave-day-1"
SECOND_DAY = "second-wave-day-2"
# On day one no card comes back before all claims are decided; on day two some do before the last tranche.
VOUCHER_SECONDS_MIN = 20
CLAIMS_A_SECOND_MIN = 5_000
HOLD_SECONDS = 15
TRANCHES = 5
# The last tranche comes so long after the first vouchers have expired.
LAST_TRANCHE_SECONDS = 5
# About this part of day two's cards has come back by then and is granted again: a quarter of those granted at first,
# which are a quarter of all.
GRANTED_AGAIN = 0.07

_LEFT = """
SELECT (SELECT count(*) FROM ledger.waiting WHERE campaign_id = %(id)s),
       coalesce(sum(admitted), 0)::bigint, coalesce(sum(left_without), 0)::bigint
FROM ledger.waiting_line WHERE campaign_id = %(id)s"""


@dataclass(frozen=True, slots=True)
class Waited:
    """The waiting room as the ledger has it in the end."""

    waiting: int
    admitted: int
    left_without: int


@dataclass(frozen=True, slots=True)
class TwoDays:
    """All that the play has come to; `second` holds the answers of both days."""

    first: Scenario
    first_tally: Tally
    first_books: Books
    second: Result
    room: WaitingRoom
    waited: Waited
    growth: DayOverDay

    def verdicts(self) -> list[Verdict]:
        """What must hold, each with what was found."""
        cards, granted = self.first.cards, self.first_books.granted
        return [
            *self.growth.verdicts(),
            Verdict(
                f"day one: granted exactly {cards:,}",
                granted == cards == self.first_tally.granted and self.first_books.open_vouchers == 0,
                f"{granted:,} in the ledger, {self.first_tally.granted:,} in the events",
            ),
            self._granted_exactly(),
            self._answered_once_more(),
            Verdict("nobody left waiting", self.waited.waiting == 0, f"{self.waited.waiting:,} in the ledger"),
            *self.second.sound(),
        ]

    def _granted_exactly(self) -> Verdict:
        """A card that came back may be granted again; there are never more of them than were issued."""
        result = self.second
        books, cards = result.books, result.scenario.cards
        spent = sum(row.count for row in books.vouchers if row.state == "spent")
        back = books.balances.get(("pool", "VOUCHER"), 0) + books.balances.get(("lease", "VOUCHER"), 0)
        again = books.granted - cards
        return Verdict(
            f"day two: granted exactly {cards:,}, and again only what came back",
            spent + back == cards and again >= 0 and books.granted == result.tally.granted,
            f"{books.granted:,} in the ledger, {result.tally.granted:,} in the events, of them {again:,} again; "
            f"{spent:,} spent and {back:,} back",
        )

    def _answered_once_more(self) -> Verdict:
        room, waited = self.room, self.waited
        told = (room.admitted, room.left_without)
        return Verdict(
            "everybody who waited was answered exactly once more",
            room.answered_once_more == room.queued == sum(told) and told == (waited.admitted, waited.left_without),
            f"{room.queued:,} waited, {room.answered_once_more:,} answered once more: {told[0]:,} granted, {told[1]:,} "
            f"told the end; {waited.admitted:,} and {waited.left_without:,} in the ledger",
        )

    @property
    def passed(self) -> bool:
        """Whether everything holds that must."""
        return all(verdict.passed for verdict in self.verdicts())


class SecondWave:
    """The play of `--scenario second-wave`; `claims` and `cards` are day two's."""

    def __init__(self, claims: int | None, cards: int | None, seed: int) -> None:
        """Raises ValueError where not every card would find a claimant."""
        self._claims = CLAIMS if claims is None else claims
        self._cards = CARDS if cards is None else cards
        self._seed = seed
        require_claimants(self._claims, self._cards)

    def play(self, stage: Stage) -> bool:
        """Play both days, kill a processor in the middle of day two, and print what came of it; whether all holds that
        must.
        """
        first = first_day(self._claims, self._cards)
        first_tally, _ = stage.play_day(first, self._seed, rate=SENT_A_SECOND_MAX)
        second = second_day(self._claims, self._cards)
        rate = min(SENT_A_SECOND_MAX, self._claims / PLAY_SECONDS_MIN)
        tally, watch = stage.play_day(second, self._seed, rate=rate, kill_after=self._claims // 2)
        exit_code = stage.finish()
        connection = stage.connection
        first_books, second_books = read_books(connection, FIRST_DAY), read_books(connection, SECOND_DAY)
        assert tally.waiting_room is not None, "day two has a waiting room"
        found = TwoDays(
            first,
            first_tally,
            first_books,
            Result(
                second,
                tally,
                second_books,
                verify(stage.settings, stage.stop),
                throughput(watch.samples, self._claims, rate),
                watch.takeover,
                exit_code,
            ),
            tally.waiting_room,
            _read_waited(connection),
            read_growth(connection, FIRST_DAY, SECOND_DAY),
        )
        for table in (*tables(found.second), _room_table(found), *found.growth.tables()):
            stage.console.print(table)
        stage.console.print(verdicts_table(found.verdicts()))
        print_faults(found.second, stage.console)
        return found.passed


def first_day(claims: int, cards: int) -> Scenario:
    """Day one, of so many cards that orders grow by the catalogue's measure with `cards` on day two. It begins now.

    Its play ends while vouchers are open: they expire during day two, whose own are granted later and live as long.
    """
    first_cards = max(1, round(cards * (1 + GRANTED_AGAIN) / GROWTH))
    return Scenario(
        begin_ms=time.time_ns() // 1_000_000,
        campaign_id=FIRST_DAY,
        claims=2 * first_cards,
        cards=first_cards,
        voucher_ttl_s=_voucher_seconds(claims),
        hold_ttl_s=HOLD_SECONDS,
        hotel_budget=False,
    )


def second_day(claims: int, cards: int) -> Scenario:
    """Day two, in tranches of which the last comes when the first vouchers have expired. It begins now."""
    voucher_ttl_s = _voucher_seconds(claims)
    last_s = voucher_ttl_s + LAST_TRANCHE_SECONDS
    return Scenario(
        begin_ms=time.time_ns() // 1_000_000,
        campaign_id=SECOND_DAY,
        claims=claims,
        cards=cards,
        voucher_ttl_s=voucher_ttl_s,
        hold_ttl_s=HOLD_SECONDS,
        await_expiries=True,
        wave=2,
        hotel_budget=False,
        release_s=tuple(last_s * number // TRANCHES for number in range(1, TRANCHES + 1)),
        when_empty="queue",
    )


def _voucher_seconds(claims: int) -> int:
    return VOUCHER_SECONDS_MIN + claims // CLAIMS_A_SECOND_MIN


def _read_waited(connection: psycopg.Connection) -> Waited:
    row = connection.execute(_LEFT, {"id": SECOND_DAY}).fetchone()
    assert row is not None, "an aggregate returns a row"
    return Waited(*row)


def _room_table(found: TwoDays) -> Table:
    room, scenario = found.room, found.second.scenario
    at_once = scenario.opening_cards // (len(scenario.release_s) + 1)
    table = text_table("The waiting room of day two", "what", "measured")
    table.add_row(
        f"tranches after the start, at {', '.join(map(str, scenario.release_s))} s", f"{len(scenario.release_s)}"
    )
    table.add_row("cards of each", f"{at_once:,}")
    table.add_row("claims queued", f"{room.queued:,}")
    table.add_row("admitted: a tranche came, or a voucher came back", f"{room.admitted:,}")
    table.add_row("told the end", f"{room.left_without:,}")
    table.add_row("longest line of a partition", f"{room.line_max:,}")
    table.add_row("longest wait", f"{room.wait_ms_max / 1_000:.1f} s")
    return table
