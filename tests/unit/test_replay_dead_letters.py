"""Which dead letters are meant, which may be driven again, and what may be sent in one's place."""

import re
from collections import Counter
from dataclasses import replace
from io import StringIO
from typing import Any, cast

import orjson
import pytest
from rich.console import Console

from tests.unit.letters_given import LETTER, QUARANTINED, REDRIVEN, RELEASED
from voucher_ledger import cli
from voucher_ledger.replay.bounds import Bound, bound, place
from voucher_ledger.replay.dead_letters import redrive as redriving
from voucher_ledger.replay.dead_letters.choice import FOR_A_PERSON, Filter, State, Verdict, kind_of, state_of, verdict
from voucher_ledger.replay.dead_letters.edit import edited
from voucher_ledger.replay.dead_letters.letters import Letter, text_of
from voucher_ledger.replay.dead_letters.marks import Mark
from voucher_ledger.replay.dead_letters.redrive import Rules, Sorted, batches, sort_out
from voucher_ledger.replay.dead_letters.shown import letters_table, plain
from voucher_ledger.replay.dead_letters_arguments import past_ms
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.seek.skipped import named
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import settings
from voucher_ledger.runtime.incoming import REPEATED_BYTES_MAX, dead_letter, lacks_record
from voucher_ledger.runtime.outbox import Header

CLAIM = {
    "specversion": "1.0", "id": "1", "source": "test", "type": "voucher.claim", "time": "2026-02-06T00:00:00Z",
    "data": {"campaign_id": "grey", "user_id": "ana"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("letter", "mark", "again_before_ms", "expected"),
    [
        (LETTER, None, None, Verdict.REDRIVE),
        (LETTER, RELEASED, None, Verdict.REDRIVE),
        (LETTER, REDRIVEN, None, Verdict.REDRIVEN_BEFORE),
        (LETTER, REDRIVEN, 5_001, Verdict.REDRIVE),
        (LETTER, REDRIVEN, 5_000, Verdict.REDRIVEN_BEFORE),  # what a killed run drove is not driven by its repetition
        (LETTER, QUARANTINED, 9_000, Verdict.QUARANTINED),
        (replace(LETTER, attempts=2), None, None, Verdict.REDRIVE),
        (replace(LETTER, attempts=3), None, None, Verdict.DIED_TOO_OFTEN),
        (replace(LETTER, topic=""), None, None, Verdict.NO_COMMAND_TOPIC),
        (replace(LETTER, topic="ledger.dead-letters"), None, None, Verdict.NO_COMMAND_TOPIC),
    ],
)
def test_what_may_be_driven_again(
    letter: Letter, mark: Mark | None, again_before_ms: int | None, expected: Verdict
) -> None:
    assert verdict(letter, mark, again_before_ms=again_before_ms) is expected


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({("claim.commands", 3): 10}, Verdict.REDRIVE),
        ({("claim.commands", 3): 9}, Verdict.NO_SUCH_COMMAND),
        ({("claim.commands", 2): 10}, Verdict.NO_SUCH_COMMAND),
        (None, Verdict.REDRIVE),
    ],
)
def test_a_letter_of_a_command_that_never_was_is_left(
    ends: dict[tuple[str, int], int] | None, expected: Verdict
) -> None:
    assert LETTER.cause == "claim.commands/3/9"
    assert verdict(LETTER, None, ends=ends) is expected


class Large:
    """A record of such parts."""

    def __init__(self, key: bytes | None, value: bytes | None, headers: list[Header]) -> None:
        self._parts = key, value, headers

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 9

    def key(self) -> bytes | None:
        return self._parts[0]

    def value(self) -> bytes | None:
        return self._parts[1]

    def headers(self) -> list[Header]:
        return self._parts[2]


def test_a_letter_repeats_what_fits_its_topic() -> None:
    fits = dead_letter(cast("Any", Large(b"ana", b"x" * (REPEATED_BYTES_MAX - 3), [])), "not JSON")
    assert (len(fits.value or b""), fits.error) == (REPEATED_BYTES_MAX - 3, "not JSON")
    held: list[Header] = [("", None)]
    large = dead_letter(cast("Any", Large(b"ana", b"x" * REPEATED_BYTES_MAX, held)), "not JSON")
    assert (large.key, large.value, large.headers) == (b"ana", None, held)
    assert large.error.startswith("not JSON; not repeated here: its value (16,000,000 bytes), since a dead letter")
    # Null headers without a name take their frames only, and are many in a megabyte.
    many: list[Header] = held * (REPEATED_BYTES_MAX // 2)
    odd = dead_letter(cast("Any", Large(b"ana", b"{}", many)), "not JSON")
    assert (odd.key, odd.value, odd.headers) == (b"ana", b"{}", [])
    all_large = dead_letter(cast("Any", Large(b"k" * 17_000_000, b"v" * 18_000_000, held)), "not JSON")
    assert (all_large.key, all_large.value, all_large.headers) == (None, None, held)
    assert "its value (18,000,000 bytes), its key (17,000,000 bytes), since" in all_large.error
    assert [lacks_record(one.error) for one in (fits, large, odd, all_large)] == [False, True, False, True]
    assert named([large])[0].startswith("offset 9: key 'ana', 0 bytes (not in the letter: its value (16,000,000 bytes)")


def test_a_letter_without_its_records_value_is_not_driven_unless_edited() -> None:
    large = dead_letter(cast("Any", Large(b"ana", b"x" * (REPEATED_BYTES_MAX + 1), [])), "not JSON")
    letter = replace(LETTER, value=large.value, error=large.error)
    assert verdict(letter, None) is Verdict.NOT_THERE
    assert verdict(letter, None, is_edited=True) is Verdict.REDRIVE
    # A record that was null is sent again as it was, and words alone keep no letter back.
    assert verdict(replace(LETTER, value=None, error="the value is null"), None) is Verdict.REDRIVE
    assert verdict(replace(LETTER, error=large.error), None) is Verdict.REDRIVE
    assert Verdict.NOT_THERE in FOR_A_PERSON


def test_again_takes_no_time_to_come_by_which_a_killed_run_would_drive_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(settings, "load", lambda: pytest.fail("it was taken"))
    asked = ["replay", "dead-letters", "redrive", "--again", "2999-01-01T00:00:00Z"]
    assert cli.main(asked) == ExitCode.USAGE
    assert "2999-01-01T00:00:00Z is yet to come" in capsys.readouterr().err
    assert past_ms("1970-01-01T00:00:05Z", 5_000) == 5_000


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Filter(), True),
        (Filter(topics=frozenset(["order.commands"])), False),
        (Filter(error="NOT json"), True),
        (Filter(error="schema"), False),
        (Filter(error_pattern=re.compile(r"byte \d$")), True),
        (Filter(error_pattern=re.compile(r"^byte")), False),
        (Filter(key=b"ana"), True),
        (Filter(key=b"an"), False),
        (Filter(places=frozenset([(2, 7)])), True),
        (Filter(places=frozenset([(7, 2)])), False),
        (Filter(states=frozenset([State.REDRIVEN])), False),
        (Filter(topics=frozenset(["claim.commands"]), key=b"bob"), False),
    ],
)
def test_a_filter_takes_what_all_of_it_says(wanted: Filter, takes: bool) -> None:
    assert wanted.takes(LETTER, None) is takes


def test_the_last_mark_tells_the_state() -> None:
    assert [state_of(mark) for mark in (None, RELEASED, REDRIVEN, QUARANTINED)] == [
        State.OPEN, State.OPEN, State.REDRIVEN, State.QUARANTINED,
    ]  # fmt: skip


def test_sorting_out_stops_at_the_bound_and_tells_how_many_are_left() -> None:
    letters = [(replace(LETTER, offset=offset), REDRIVEN if offset == 1 else None) for offset in range(6)]
    found = Sorted()
    driven = [letter.offset for letter in sort_out(letters, Rules(count_max=3), found)]
    assert driven == [0, 2, 3]
    assert (found.counts, found.more) == (Counter({Verdict.REDRIVE: 3, Verdict.REDRIVEN_BEFORE: 1}), 2)


def test_a_transaction_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redriving, "BYTES_A_TRANSACTION_MAX", 3)
    letters = [replace(LETTER, offset=offset, value=b"12" if offset < 4 else b"") for offset in range(9)]
    assert [len(batch) for batch in batches(letters, 3)] == [2, 2, 3, 2]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("data.city_tier: 7 is greater than the maximum of 6", "data.city_tier: … is greater than the maximum of …"),
        ("""the key b'ana' is not data.user_id "bob \\" x" """, "the key … is not data.user_id … "),
        ("70,000 bytes; at most 65,536", "… bytes; at most …"),
        ('data: unknown field "usr_id"; data.quota: -1.5e+20.', 'data: unknown field "usr_id"; data.quota: ….'),
        ('data: unknown field "a", "b]" and 3 more', 'data: unknown field "a", "b]" and … more'),
        (f'data: unknown field "{"x" * 31}"', "data: unknown field …"),
        ('unknown type "voucher.clam"; it takes 2', 'unknown type "voucher.clam"; it takes …'),
        ('data.budgets["tea"]: 1.5 is no integer', 'data.budgets["tea"]: … is no integer'),
        ("not JSON: byte 0xff at byte 38 is not UTF-8", "not JSON: byte 0xff at byte … is not UTF-8"),
        ("key is not UTF-8 (hex ff00ab12, 4 bytes)", "key is not UTF-8 (…, … bytes)"),
        ("the decision failed: KeyError: v3-1200", "the decision failed: KeyError: v…-…"),
    ],
)
def test_reasons_are_counted_without_what_differs(error: str, kind: str) -> None:
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        (b"no", "not JSON"),
        (orjson.dumps({**CLAIM, "type": "order.reserve"}), "order.reserve"),
        (orjson.dumps({**CLAIM, "data": {**CLAIM["data"], "city_tier": 9}}), "data.city_tier"),  # type: ignore[dict-item]
        (orjson.dumps({**CLAIM, "data": []}), "data"),
        (b"[]", "a list"),
    ],
)
def test_an_edit_that_would_die_again_is_refused(value: bytes, refusal: str) -> None:
    with pytest.raises(Refused, match=f"would be dead-lettered again.*{refusal}"):
        edited(LETTER, value)


def test_an_edit_goes_out_under_the_key_of_its_own_data() -> None:
    edit = edited(replace(LETTER, key=b"someone else"), orjson.dumps(CLAIM) + b"\n")
    assert (edit.key, edit.value) == (b"ana", orjson.dumps(CLAIM))


def test_an_edit_that_changes_nothing_and_one_of_no_command_topic_are_refused() -> None:
    with pytest.raises(Refused, match="holds already"):
        edited(replace(LETTER, value=orjson.dumps(CLAIM)), orjson.dumps(CLAIM))
    with pytest.raises(Refused, match="came from no command topic"):
        edited(replace(LETTER, topic=""), orjson.dumps(CLAIM))


def test_bytes_are_shown_as_text_where_they_are_text() -> None:
    assert [text_of(held) for held in (None, "ä".encode(), b"\xff")] == [
        (None, "none"), ("ä", "utf-8"), ("/w==", "base64"),
    ]  # fmt: skip


def test_what_a_terminal_would_obey_is_escaped_and_what_is_long_is_cut() -> None:
    assert plain("k\x1b[2J\x9b1m\x07\tä\n") == "k\\u001b[2J\\u009b1m\\u0007\tä\n"
    long = replace(LETTER, key=b"\x1b[5m" + b"k" * 500_000)
    out = StringIO()
    Console(width=160, file=out).print(letters_table([(long, None)]))
    told = out.getvalue()
    assert "\x1b" not in told
    assert "\\u001b[5mkkk" in told
    assert len(told) < 5_000


def test_bounds_are_times_or_offsets() -> None:
    assert bound("1200") == Bound(offset=1_200)
    assert bound("1970-01-01T00:00:01.5Z") == Bound(time_ms=1_500)
    assert place("2/1200") == (2, 1_200)
    for wrong in ("yesterday", "-1", "²", "2026-02-06"):
        with pytest.raises(ValueError, match="neither an offset nor a time"):
            bound(wrong)
    for wrong in ("2", "2/", "/2", "2/x", "-1/2"):
        with pytest.raises(ValueError, match="no place such as"):
            place(wrong)
