"""What must be true of the answers, worked out from the events alone: a second opinion beside the audit's SQL."""

from collections import Counter
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

import jsonschema_rs
import orjson

from voucher_ledger.core.validation_schema import load_schema


class Tally:
    """Counts what is out of each campaign, event by event, and notes each moment at which it is too much. Of the
    `honoured` campaigns it counts too what was granted although quota or budget were gone, and what was refused.
    """

    def __init__(self, honoured: Collection[str] = ()) -> None:
        self._honoured = honoured
        self.lost_vouchers: Counter[str] = Counter()
        self.lost_minor: Counter[str] = Counter()
        self.faults: list[str] = []
        self.vouchers_out: Counter[str] = Counter()
        self.out_minor: Counter[str] = Counter()
        self._quota: Counter[str] = Counter()
        self._budget_minor: Counter[str] = Counter()
        self._worth_minor: dict[str, int] = {}
        self._left_to_refund_minor: dict[str, int] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Count one outcome; refusals and duplicates count for nothing."""
        data, campaign_id = event["data"], event["data"].get("campaign_id")
        if "duplicate" in data:
            return
        match event["type"]:
            case "campaign.opened" | "campaign.topped_up":
                self._quota[campaign_id] += data["quota"]
                self._budget_minor[campaign_id] += data["budget_minor"]
            case "voucher.rejected" if data["reason"] in ("sold_out", "budget_exhausted"):
                if campaign_id in self._honoured:
                    self.faults.append(f"{event['id']}: {campaign_id} honours, and refused as {data['reason']}")
            case "voucher.granted":
                self._honour(campaign_id, data["face_value_minor"])
                self._change(campaign_id, data["voucher_id"], 1, data["face_value_minor"])
            case "voucher.expired":
                self._change(campaign_id, data["voucher_id"], -1, 0)
            case "payment.settled":
                self._change(campaign_id, data["voucher_id"], 0, data["discount_minor"])
                self._left_to_refund_minor[data["payment_id"]] = data["paid_minor"]
            case "payment.refunded":
                self._left_to_refund_minor[data["payment_id"]] -= data["amount_minor"]
                if self._left_to_refund_minor[data["payment_id"]] == 0 and not data["voucher_restored"]:
                    self._change(campaign_id, data["voucher_id"], -1, 0)
        for out, left in ((self.vouchers_out, self._vouchers_left), (self.out_minor, self._left_minor)):
            if left(campaign_id) < 0:
                most = out[campaign_id] + left(campaign_id)
                self.faults.append(f"{event['id']}: {out[campaign_id]} out of {campaign_id}, {most} at most")

    def _vouchers_left(self, campaign_id: str) -> int:
        return self._quota[campaign_id] + self.lost_vouchers[campaign_id] - self.vouchers_out[campaign_id]

    def _left_minor(self, campaign_id: str) -> int:
        return self._budget_minor[campaign_id] + self.lost_minor[campaign_id] - self.out_minor[campaign_id]

    def _honour(self, campaign_id: str, face_minor: int) -> None:
        """A grant that what is left can't pay for is a loss, wholly: what is left stays."""
        short = self._vouchers_left(campaign_id) < 1 or self._left_minor(campaign_id) < face_minor
        if short and campaign_id in self._honoured:
            self.lost_vouchers[campaign_id] += 1
            self.lost_minor[campaign_id] += face_minor

    def _change(self, campaign_id: str, voucher_id: str, vouchers: int, worth_minor: int) -> None:
        self.vouchers_out[campaign_id] += vouchers
        self.out_minor[campaign_id] += worth_minor - self._worth_minor.get(voucher_id, 0)
        self._worth_minor[voucher_id] = worth_minor


def tally(events: Iterable[bytes], honoured: Collection[str] = ()) -> Tally:
    """The tally of these events, which must come in the order in which they were decided."""
    counted = Tally(honoured)
    for event in events:
        counted.add(orjson.loads(event))
    return counted


def schema_faults(events: Iterable[bytes]) -> list[str]:
    """The events that break their schema under schemas/events, each with why."""
    found: list[str] = []
    for encoded in events:
        event = orjson.loads(encoded)
        found += [f"{event['id']}: {error.message}" for error in _validator(event["type"]).iter_errors(event)]
    return found


@cache
def _validator(event_type: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(load_schema("events", event_type), validate_formats=True)
