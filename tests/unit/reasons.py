"""The reasons that a refusal may give, as its schema lists them."""

from voucher_ledger.core.validation_schema import load_schema


def reasons_of(event_type: str) -> set[str]:
    """The reasons of events of this type."""
    return set(load_schema("events", event_type)["properties"]["data"]["properties"]["reason"]["enum"])
