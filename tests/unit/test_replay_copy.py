"""What a copy says, where it may go, and when it is due."""

from contextlib import nullcontext
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.replay.bounds import UNBOUNDED
from voucher_ledger.replay.copying import command as copy_command
from voucher_ledger.replay.copying import rewrite
from voucher_ledger.replay.copying.pairs import Pair, pairs, refusal, unnamed
from voucher_ledger.replay.copying.rewrite import Rewriter, pseudonym
from voucher_ledger.replay.copying.schedule import Schedule
from voucher_ledger.replay.copying.vouchers import VoucherPlaces
from voucher_ledger.replay.errors import Refused
from voucher_ledger.runtime.settings import Settings

KEY = b"0123456789abcdef"


def command(type_: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {"specversion": "1.0", "id": "1", "source": "x", "type": type_, "time": "2026-02-06T00:00:00Z", "data": data}
    )


CLAIM = command("voucher.claim", {"campaign_id": "grey", "user_id": "ana", "device_id": "phone-1"})
RESERVE = command(
    "order.reserve",
    {
        "order_id": "o1",
        "user_id": "ana",
        "voucher_id": "v3-20",
        "more_voucher_ids": ["v3-11", "v3-99"],
        "merchant_id": "m",
        "category": "c",
        "amount_minor": 1,
    },
)
PAUSE = command("campaign.pause", {"campaign_id": "grey", "approved_by": "me", "reason": "why"})


def test_every_id_of_every_command_is_thought_of() -> None:
    """A field with ids that the copy does not know would go into the live books, or name somebody."""
    fields = {
        name
        for path in (schema_root() / "commands").glob("*.json")
        for name in orjson.loads(path.read_bytes())["properties"]["data"]["properties"]
        if name.endswith(("_id", "_ids"))
    }
    assert fields == {*rewrite.PREFIXED, rewrite.VOUCHER, rewrite.MORE_VOUCHERS, *rewrite.PERSONAL, *rewrite.KEPT}


def places() -> VoucherPlaces:
    made = VoucherPlaces()
    for source, target in ((10, 110), (11, 111), (20, 122), (21, 123)):
        made.add(3, source, target)
    return made


def test_a_copy_of_its_own_campaign_names_nothing_of_the_live_one() -> None:
    rewriter = Rewriter("night", "again-", KEY, places())
    other = pseudonym("ana", KEY).encode()
    key, value = rewriter.rewrite("claim.commands", b"ana", CLAIM)
    decoded = CommandDecoder("claim.commands").decode(value, key)
    device = pseudonym("phone-1", KEY, "d")
    assert key == other
    assert decoded.data == {"campaign_id": "again-grey", "user_id": other.decode(), "device_id": device}

    key, value = rewriter.rewrite("order.commands", b"ana", RESERVE)
    data = CommandDecoder("order.commands").decode(value, key).data
    assert (data["order_id"], data["voucher_id"], data["user_id"]) == ("again-o1", "v3-122", other.decode())
    assert data["more_voucher_ids"] == ["v3-111", "again-v3-99"]
    assert rewriter.awaits(RESERVE)
    assert not rewriter.awaits(RESERVE.replace(b"v3-99", b"v3-10"))

    key, value = rewriter.rewrite("campaign.commands", b"grey", PAUSE)
    assert key == b"again-grey"
    assert CommandDecoder("campaign.commands").decode(value, key).data["campaign_id"] == "again-grey"
    assert orjson.loads(value or b"")["rehearsal"] == "night"

    # A voucher whose claim was not copied could be a live one's name.
    _, value = rewriter.rewrite("order.commands", b"ana", RESERVE.replace(b"v3-20", b"v3-22"))
    assert orjson.loads(value or b"")["data"]["voucher_id"] == "again-v3-22"


def test_a_plain_copy_changes_nothing_but_the_tag() -> None:
    rewriter = Rewriter("night")
    for topic, key, value in (("claim.commands", b"ana", CLAIM), ("campaign.commands", b"grey", PAUSE)):
        copied_key, copied = rewriter.rewrite(topic, key, value)
        document = orjson.loads(copied or b"")
        assert document.pop("rehearsal") == "night"
        assert (copied_key, document) == (key, orjson.loads(value))
    for value in (b"not JSON", b"[]", b"{}", b'{"data": 1}'):
        assert rewriter.rewrite("claim.commands", b"ana", value) == (b"ana", value)
    assert rewriter.rewrite("claim.commands", None, None) == (None, None)
    assert rewriter.headers([("a", b"1"), ("a", None)], "t/0/1") == [
        ("a", b"1"), ("a", None), ("rehearsal", b"night"), ("rehearsal_source", b"t/0/1"),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [b"ana is not JSON", b'{"user_id":"ana"}', b'{"data":{"user_id":["ana"]}}', b"[]"])
def test_what_can_not_be_read_says_nothing_of_a_user(value: bytes) -> None:
    rewriter = Rewriter("night", pseudonym_key=KEY)
    assert rewriter.rewrite("claim.commands", b"ana", value) == (pseudonym("ana", KEY).encode(), b"x" * len(value))
    assert rewriter.blanked == 1


def test_a_wrong_key_stays_wrong() -> None:
    """It would be dead-lettered, and so must its copy be."""
    key, value = Rewriter("night", "again-", KEY).rewrite("claim.commands", b"bob", CLAIM)
    assert key == pseudonym("bob", KEY).encode()
    assert orjson.loads(value or b"")["data"]["user_id"] == pseudonym("ana", KEY)
    assert Rewriter("night", "again-").rewrite("campaign.commands", b"other", PAUSE)[0] == b"other"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=60))
def test_vouchers_are_found_where_their_claims_were_copied_to(steps: list[tuple[int, int]]) -> None:
    made, known = VoucherPlaces(), dict[int, int]()
    source, target = 0, 100
    for source_step, target_step in steps:
        source, target = source + source_step, target + target_step
        made.add(1, source, target)
        known[source] = target
    for offset, expected in known.items():
        assert made.copied(f"v1-{offset}") == f"v1-{expected}"
    assert made.copied(f"v1-{source + 1}") is None
    assert made.copied("v2-1") is made.copied("other") is None


@pytest.mark.parametrize(
    ("target", "same_cluster", "prefix", "told"),
    [
        ("claim.commands", True, None, "decided into the live books"),
        ("claim.commands", True, "again-", None),
        ("claim.commands", False, None, None),
        ("rehearsal.claims", True, None, None),
        ("claim.events", True, "again-", "written by a ledger's own programs"),
        ("claim.events", False, None, "written by a ledger's own programs"),
        ("ledger.dead-letters", False, "again-", "written by a ledger's own programs"),
        ("__consumer_offsets", True, "again-", "written by a ledger's own programs"),
        ("night", True, "again-", "copied onto itself"),
    ],
)
def test_where_a_copy_may_go(target: str, same_cluster: bool, prefix: str | None, told: str | None) -> None:
    found = refusal([Pair("night", target)], same_cluster=same_cluster, campaign_prefix=prefix)
    assert (found is None) if told is None else (told in str(found))


@pytest.mark.parametrize(
    ("target", "named", "prefix", "told"),
    [
        ("claim.commands", None, None, "--target-cluster staging-id"),
        ("claim.commands", "staging-id", None, None),
        ("claim.commands", "production-id", None, "is it the one meant"),
        ("claim.commands", "production-id", "again-", "is it the one meant"),
        ("claim.commands", None, "again-", None),
        ("rehearsal.claims", None, None, None),
    ],
)
def test_another_cluster_is_named_before_it_is_given_commands(
    target: str, named: str | None, prefix: str | None, told: str | None
) -> None:
    copied = [Pair("night", "kept"), Pair("claim.commands", target)]
    found = unnamed(copied, cluster="staging-id", named=named, campaign_prefix=prefix)
    assert (found is None) if told is None else (told in str(found))


def test_a_copy_without_the_clusters_id_is_a_dry_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(kafka="staging:1", postgres="host=nowhere")
    monkeypatch.setattr(copy_command, "_cluster_id", lambda of: f"id-of-{of.kafka}")
    monkeypatch.setattr(copy_command, "_parts", lambda *_: 1 // 0)  # what comes next
    monkeypatch.setattr(copy_command, "recorded", lambda *_: nullcontext())
    copied = [Pair("claim.commands", "claim.commands")]

    def run(target_cluster: str | None, *, apply: bool) -> None:
        request = copy_command.Request(
            "night", copied, UNBOUNDED, UNBOUNDED, frozenset(), "production:1", target_cluster, 1.0, None, None,
            None, None, original_times=True,
        )  # fmt: skip
        copy_command.run(settings, request, apply=apply, reason="why", arguments={}, json=False)

    for target_cluster, apply in ((None, False), ("id-of-production:1", False), ("id-of-production:1", True)):
        with pytest.raises(ZeroDivisionError):
            run(target_cluster, apply=apply)
    with pytest.raises(Refused, match="--target-cluster id-of-production:1"):
        run(None, apply=True)
    for apply in (False, True):
        with pytest.raises(Refused, match="is it the one meant"):
            run("id-of-staging:1", apply=apply)


def test_topics_go_in_pairs() -> None:
    assert pairs(["a", "b"], ["c", "d"]) == [("a", "c"), ("b", "d")]
    for sources, targets in ((["a"], []), (["a", "a"], ["b", "c"]), (["a", "b"], ["c", "c"])):
        with pytest.raises(ValueError, match=r"pairs|twice"):
            pairs(sources, targets)


def test_records_are_due_a_factor_sooner() -> None:
    now = 1_000.0
    schedule = Schedule(10, lambda: now)
    assert schedule.wait_seconds(5_000) == 0
    assert schedule.wait_seconds(15_000) == pytest.approx(1.0)
    now = 1_003.0
    assert schedule.wait_seconds(25_000) == 0
    assert schedule.late_seconds_max == pytest.approx(1.0)
    assert Schedule(0, lambda: now).wait_seconds(10**12) == 0
