"""The grey release: one day, one campaign, every card claimed within minutes."""

import time

from voucher_ledger.demo.figures import Result, read_books, throughput
from voucher_ledger.demo.stage import Stage
from voucher_ledger.demo.tables import print_result
from voucher_ledger.replay.verify import verify
from voucher_ledger.simulate.scenario import Scenario

CLAIMS = 300_000
CARDS = 50_000
# A small demo is spread over so long a time that there is a middle in which to kill.
PLAY_SECONDS_MIN = 8
# Claims are sent at most so fast: what two cores keep up with, the generator, Kafka and Postgres on them too.
SENT_A_SECOND_MAX = 15_000
# How long vouchers live: longer than all claims take, so that none comes back while they are decided.
VOUCHER_SECONDS_MIN = 15
CLAIMS_A_SECOND_MIN = 8_000
HOLD_SECONDS = 10


class GreyRelease:
    """The play of `--scenario grey-release`."""

    def __init__(self, claims: int | None, cards: int | None, seed: int) -> None:
        """Raises ValueError where not every card would find a claimant."""
        self._scenario = _scenario(CLAIMS if claims is None else claims, CARDS if cards is None else cards)
        self._seed = seed

    def play(self, stage: Stage) -> bool:
        """Play the day, kill a processor while cards are being granted, and print what came of it; whether all holds
        that must.
        """
        scenario = self._scenario
        rate = sent_a_second_max(scenario)
        tally, watch = stage.play_day(scenario, self._seed, rate=rate, kill_after=scenario.cards * 3 // 4)
        exit_code = stage.finish()
        result = Result(
            scenario,
            tally,
            read_books(stage.connection, scenario.campaign_id),
            verify(stage.settings, stage.stop),
            throughput(watch.samples, scenario.claims, rate),
            watch.takeover,
            exit_code,
        )
        print_result(result, stage.console)
        return result.passed


def require_claimants(claims: int, cards: int) -> None:
    """Raise ValueError where not every card would find a claimant."""
    if claims < 2 * cards:
        raise ValueError(f"{claims:,} claims for {cards:,} cards: with fewer than two for each, cards could be left")


def sent_a_second_max(scenario: Scenario) -> float:
    """How many claims a second are sent, at most."""
    return min(SENT_A_SECOND_MAX, scenario.claims / PLAY_SECONDS_MIN)


def _scenario(claims: int, cards: int) -> Scenario:
    require_claimants(claims, cards)
    return Scenario(
        begin_ms=time.time_ns() // 1_000_000,
        claims=claims,
        cards=cards,
        voucher_ttl_s=VOUCHER_SECONDS_MIN + claims // CLAIMS_A_SECOND_MIN,
        hold_ttl_s=HOLD_SECONDS,
        await_expiries=True,
    )
