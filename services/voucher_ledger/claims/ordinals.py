"""The ordinals of a user's vouchers: 1, 2 and so on in a campaign; a key on them holds his limit across partitions."""

import psycopg

from voucher_ledger.claims.state import Claims
from voucher_ledger.ledger import vouchers


def hold_firsts(connection: psycopg.Connection, state: Claims) -> None:
    """Hold the first voucher of each user who is granted a further one, before that is written.

    Producers hash keys differently, so a user's claims may come through several partitions, and two of them want the
    same ordinal. Who loses decides again, and then holds all vouchers of its users before it reads them: since whoever
    grants a further one waits for the first, nobody comes between its load and its write a second time. It would lose
    again and again, until its claim was taken for the one at fault. Holding the latest voucher would not do: the one
    that another grants meanwhile is another row.
    """
    keys = {(voucher.campaign_id, voucher.user_id) for voucher in state.granted if voucher.ordinal > 1}
    firsts = [
        voucher.voucher_id
        for key in keys
        for voucher in state.by_user[key]
        if voucher.ordinal == 1 and voucher.version >= 0  # below: granted by this batch, there is no row yet
    ]
    if firsts:  # together with those that are written next: vouchers are locked in one order by all
        vouchers.hold(connection, [*firsts, *state.changed])
