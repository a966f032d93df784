"""What `campaign.open` says, as the rules that every room reads: units converted, defaults filled in."""

from typing import Any

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.ledger.model import Campaign, Limits


def opened_rules(data: dict[str, Any]) -> Campaign:
    """The rules of a campaign that is open; `data` is that of a command which matches its schema."""
    voucher = data["voucher"]
    categories = data.get("categories")
    return Campaign(
        campaign_id=data["campaign_id"],
        state="open",
        currency=data["currency"],
        voucher_kind=voucher["kind"],
        face_value_minor=voucher["face_value_minor"],
        percent_bp=voucher.get("percent_bp"),
        min_spend_minor=voucher.get("min_spend_minor", 0),
        starts_at_ms=milliseconds(data["starts_at"]),
        ends_at_ms=milliseconds(data["ends_at"]),
        per_user_limit=data.get("per_user_limit", 1),
        voucher_ttl_ms=data["voucher_ttl_s"] * 1_000,
        hold_ttl_ms=data["hold_ttl_s"] * 1_000,
        categories=None if categories is None else frozenset(categories),
        overspend=data.get("overspend", "forbid"),
        when_empty=data.get("when_empty", "reject"),
        # A tranche of nothing would only put claims off until its time.
        tranches=tuple(
            sorted((milliseconds(part["at"]), part["quota"]) for part in data.get("release", ()) if part["quota"] > 0)
        ),
        vouchers_per_order_max=data.get("vouchers_per_order_max", 1),
        limits=_limits(data.get("limits", {})),
    )


def _limits(given: dict[str, Any]) -> Limits | None:
    """The limits that were given; None where nothing is limited, so that claims then look for nothing to count."""
    limits = Limits(**given)
    unlimited = limits.per_user_day is None and limits.per_device is None and not limits.channel_quotas
    return None if unlimited else limits
