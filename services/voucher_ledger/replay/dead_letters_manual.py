"""What --help says of `voucher-ledger replay dead-letters` and its verbs."""

from voucher_ledger.replay.manual import manual

DEAD_LETTERS = manual("""
Look at dead letters, drive them again, or put them aside.

A dead letter is a record that could not be decided. It lies on ledger.dead-letters with its key, bytes and headers
untouched, and headers that say where it came from and why (dlq_error) and how often it has died (dlq_attempts). It is
known by its place there, PARTITION/OFFSET, as `list` shows it.

What is done about a letter is written as a mark on ledger.dead-letter-marks, in the same Kafka transaction as what is
done: a letter is driven once, however often the tool is killed and started again. What changes something is a dry run
without --apply, and is written to the operations journal (`voucher-ledger replay operations`).
""")

LIST = manual("""
Count dead letters by reason, and show the first of them. Changes nothing.

Reasons are counted without what differs from record to record (quoted texts and numbers, but for the names of unknown
fields and types), so that a million letters of one deploy are one line.
""")

SHOW = manual("""
Show one letter whole: headers, key, value, and all that was ever done about it. Changes nothing.
""")

REDRIVE = manual("""
Drive letters again: each to the topic and partition that it came from, with key, bytes and headers kept.

A letter is driven once: its mark is committed together with its record. A killed run is gone on with by the same
command; a second run beside it fences the first. --again drives what was driven before a time: a time, so that a
killed run can be repeated without driving twice what it drove itself. So a time that is yet to come is refused.

Left where they are: quarantined letters, letters that came from no command topic, and those that have died
--attempts-max times. What dies again is a new letter with one try more. Left is also a letter of a command past its
topic's end, which nobody can have consumed: somebody else wrote it, or the topic was made anew. Where it is right all
the same, --at drives it.

Nor can one be driven whose value or key is not in its letter (too large, or unread); its reason says so, and where the
record is.
--edit may send another value in its place.

--edit sends another value in the place of one letter (--at), once its schema takes it. The key is that of the new
value's own data; where it is another, the record goes to that key's partition.

Exit code 1: letters that were meant are left for a person (died too often, of no command topic, of
a command past its topic's end, or not in its letter).
""")

QUARANTINE = manual("""
Mark letters as looked at and not to be driven again, with the reason; --lift takes that back.

The letters stay where they are: commands in = outcomes + dead letters stays true. `redrive` leaves them.
""")

EXPORT = manual("""
Write letters as NDJSON, one an object a line: place, cause, reason, key, value, headers, marks.

Bytes that are UTF-8 are written as text, others in base64; `key_encoding` and `value_encoding` say which. A file
is there whole or not at all. It holds users' ids: keep it as you keep those. Changes nothing, but the operations
journal gets an entry: who took which letters, when, and why (--reason). For that it needs the role
voucher_ledger_operator.
""")
