"""Since when nothing is left of a campaign, told by the demand that used it up. Pure."""

from voucher_ledger.monitor.buckets import MINUTE_SECONDS, QUARTER_SECONDS, Bucket
from voucher_ledger.monitor.forecast import GRANTED, net_grants
from voucher_ledger.monitor.windows import Buckets


def gone_at(minutes: Buckets, quarters: Buckets, moment: int) -> int | None:
    """The second (since 1970) after the grant that took the last, of what is used up at `moment`; None without demand.

    Cards that came back and were granted again in the same minute change nothing. Where the seconds of that minute
    are no longer kept it is the minute's end, or the quarter's; where the grant itself is none of what is held, the
    first demand that is.
    """
    out = 0
    for start in sorted(minutes, reverse=True):
        out += net_grants(minutes[start])
        if out > 0:
            return min(moment, start + _last_second(minutes[start]) + 1)
    if not minutes:
        return None
    first = min(minutes)
    out = 0
    for start in sorted(quarters, reverse=True):
        out += net_grants(quarters[start])
        if out > 0:
            # What its minutes tell, as far as they are held, was looked at: it was before them.
            return min(first, start + QUARTER_SECONDS)
    return min([first, *quarters])


def _last_second(minute: Bucket) -> int:
    counts = minute["seconds"].get(GRANTED)
    return max((second for second, count in enumerate(counts or ()) if count), default=MINUTE_SECONDS - 1)
