"""What a copied record says in place of the original: tagged as rehearsal, its ids the copy's own. Pure."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

import orjson

from voucher_ledger.core.messages import KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.replay.copying.vouchers import VoucherPlaces
from voucher_ledger.runtime.outbox import Header

# The header, and the CloudEvents extension attribute of the same name.
TAG = "rehearsal"
SOURCE_HEADER = "rehearsal_source"
PSEUDONYM_KEY_BYTES_MIN = 16

# What every field of a command that holds ids means for a copy. A test holds these against the schemas: an id that is
# none of these would be copied as it is, and could name something live, or somebody.
PREFIXED = ("campaign_id", "order_id", "payment_id", "refund_id")  # unique in a ledger whatever the campaign
VOUCHER, MORE_VOUCHERS = "voucher_id", "more_voucher_ids"
PERSONAL = {"user_id": "u", "device_id": "d"}
KEPT = ("merchant_id", "claim_id")  # means nothing by itself; the command's own id, unique within campaign and user
_KEY_FIELDS = {str(topic): key_field for topic, key_field in KEY_FIELD_BY_COMMAND_TOPIC.items()}


def pseudonym(name: str, key: bytes, kind: str = "u") -> str:
    """Another name of a user (or a device, kind `d`): the same for the same key (HMAC-SHA256), and not to be led back
    without it.
    """
    return f"{kind}-{hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]}"


@dataclass(slots=True)
class Rewriter:
    """Rewrites the records of one rehearsal.

    `campaign_prefix` is put before the ids of campaigns, orders, payments and refunds; `pseudonym_key` makes users'
    names; `vouchers` are renamed after the copied claims. `blanked` counts values that can't be read where users are to
    be pseudonymised: they become as many bytes that say nothing, and stay undecidable.
    """

    name: str
    campaign_prefix: str = ""
    pseudonym_key: bytes | None = None
    vouchers: VoucherPlaces = field(default_factory=VoucherPlaces)
    blanked: int = 0

    def rewrite(self, topic: str, key: bytes | None, value: bytes | None) -> tuple[bytes | None, bytes | None]:
        """The copy's key and value of a record of `topic`."""
        document = _document(value)
        if document is None or not isinstance(document.get("data"), dict):
            return self._unreadable(topic, key, value)
        data: dict[str, Any] = dict(document["data"])
        of_a_user = _KEY_FIELDS.get(topic, "user_id") == "user_id"
        if self.pseudonym_key is not None and of_a_user and not isinstance(data.get("user_id"), str):
            return self._unreadable(topic, key, value)
        user_id = data.get("user_id")
        self._rename(data)
        # Almost every key is the user's id, whose other name is known by now.
        new_key = data["user_id"].encode() if _is(user_id, key) else self._key(topic, key, document["data"])
        return new_key, orjson.dumps({**document, TAG: self.name, "data": data})

    def headers(self, headers: list[Header], source: str) -> list[Header]:
        """The copy's headers: the original ones, and whose copy it is (`source`: `topic/partition/offset`)."""
        return [*headers, (TAG, self.name.encode()), (SOURCE_HEADER, source.encode())]

    def awaits(self, value: bytes | None) -> bool:
        """Whether a claim must be known to be copied before this record, which names its voucher, can be rewritten."""
        if value is None or b"voucher_id" not in value:
            return False
        data = (_document(value) or {}).get("data")
        named = _vouchers(data) if isinstance(data, dict) else []
        places = [place for place in map(self.vouchers.place_of, named) if place is not None]
        return any(not self.vouchers.is_known(*place) for place in places)

    def _rename(self, data: dict[str, Any]) -> None:
        for name in PREFIXED:
            if isinstance(data.get(name), str):
                data[name] = self.campaign_prefix + data[name]
        if isinstance(data.get(VOUCHER), str):
            data[VOUCHER] = self._voucher(data[VOUCHER])
        if isinstance(data.get(MORE_VOUCHERS), list):
            data[MORE_VOUCHERS] = [self._voucher(one) if isinstance(one, str) else one for one in data[MORE_VOUCHERS]]
        if self.pseudonym_key is not None:
            for name, kind in PERSONAL.items():
                if isinstance(data.get(name), str):
                    data[name] = pseudonym(data[name], self.pseudonym_key, kind)

    def _voucher(self, voucher_id: str) -> str:
        """A prefix keeps the name of a voucher whose claim was not copied from being that of a live one."""
        return self.vouchers.copied(voucher_id) or self.campaign_prefix + voucher_id

    def _key(self, topic: str, key: bytes | None, data: dict[str, Any]) -> bytes | None:
        """Keys follow the ids that they are; one that is no id of its record stays as wrong as it was."""
        if key is None:
            return None
        if _KEY_FIELDS.get(topic) == "campaign_id":
            return self.campaign_prefix.encode() + key if _is(data.get("campaign_id"), key) else key
        return key if self.pseudonym_key is None else _hashed(key, self.pseudonym_key)

    def _unreadable(
        self, topic: str, key: bytes | None, value: bytes | None
    ) -> tuple[bytes | None, bytes | None]:  # fmt: skip
        if self.pseudonym_key is None:
            return key, value
        self.blanked += 1
        campaign = _KEY_FIELDS.get(topic) == "campaign_id"
        new_key = key if key is None or campaign else _hashed(key, self.pseudonym_key)
        return new_key, None if value is None else b"x" * len(value)


def _vouchers(data: dict[str, Any]) -> list[str]:
    more = data.get(MORE_VOUCHERS)
    return [one for one in (data.get(VOUCHER), *(more if isinstance(more, list) else ())) if isinstance(one, str)]


def _document(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _is(held: object, key: bytes | None) -> bool:
    return isinstance(held, str) and held.encode() == key


def _hashed(key: bytes, pseudonym_key: bytes) -> bytes:
    """A user's pseudonym as a key: the text's, so that it is that of `data.user_id`."""
    return pseudonym(key.decode("utf-8", "backslashreplace"), pseudonym_key).encode()
