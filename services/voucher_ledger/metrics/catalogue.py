"""Every metric of the voucher ledger, in one place: what it counts, in which unit, and by which labels.

Names are Prometheus': prefix, what is measured, base unit (none for a mere count), `_total` on counters. Money is in
minor units of the campaign's currency (`_minor`), which Prometheus has no base unit for. Labels come from bounded sets:
users, vouchers, orders and merchants never are one; campaigns and categories past a bound are `other` (see labels.py).
A test holds that each metric here is served, and no other.
"""

from voucher_ledger.metrics.metric import Metric

PREFIX = "voucher_ledger_"

# From a batch of one record on an idle machine to a transaction that is about to be given up.
STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# From the least that a batch takes to a backlog of an hour.
LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
BATCH_RECORDS = (1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 100_000)

# --- Every process ----------------------------------------------------------------------------------------------------

BUILD = Metric(f"{PREFIX}build_info", "gauge", "The program's version and its Python; always 1.", ("version", "python"))
READY = Metric(
    f"{PREFIX}ready",
    "gauge",
    "1 where /readyz says so: the process has its part of the work (or stands by) and is not stuck.",
    ("room",),
)
SESSIONS_LOST = Metric(
    f"{PREFIX}sessions_lost_total",
    "counter",
    "Sessions ended by an error: lost (a connection), or fenced by kafka (name or producer) or by the ledger (the "
    "position moved).",
    ("room", "cause"),
)

# --- Rooms: each process tells what it did itself, so sums over processes are right -----------------------------------

COMMANDS = Metric(
    f"{PREFIX}commands_total",
    "counter",
    "Commands decided (committed in Postgres), by their type; dead letters are not among them.",
    ("room", "type"),
)
OUTCOMES = Metric(
    f"{PREFIX}outcomes_total",
    "counter",
    "Outcomes decided, by event type and campaign. The reason is a refusal's, `duplicate` where an earlier answer was "
    "repeated, else empty; the campaign is empty where none is known.",
    ("room", "type", "reason", "campaign"),
)
SEGMENTS = Metric(
    f"{PREFIX}segment_outcomes_total",
    "counter",
    "The same outcomes by category and city tier; each is empty where the event has none. Categories that no order was "
    "accepted in are `other`.",
    ("room", "type", "campaign", "category", "city_tier"),
)
VALUE = Metric(
    f"{PREFIX}outcome_value_minor_total",
    "counter",
    "Value of these outcomes in minor units: face value granted, amount ordered (or refused), paid, refunded. Repeated "
    "answers add nothing.",
    ("room", "type", "campaign"),
)
DEAD_LETTERS = Metric(
    f"{PREFIX}dead_letters_total",
    "counter",
    "Records that could not be decided, by the class of the reason.",
    ("room", "reason"),
)
BATCHES = Metric(
    f"{PREFIX}batch_records",
    "histogram",
    "Records decided in one Postgres transaction, dead letters included.",
    ("room",),
    BATCH_RECORDS,
)
STAGES = Metric(
    f"{PREFIX}stage_seconds",
    "histogram",
    "What the stages of a batch took: load (lease, fence, rows), decide, write (rows and outbox), commit, publish (a "
    "Kafka transaction, which may hold several batches).",
    ("room", "stage"),
    STAGE_SECONDS,
)
TO_COMMIT = Metric(
    f"{PREFIX}record_to_commit_seconds",
    "histogram",
    "From a command record's timestamp to its commit in Postgres, a record each.",
    ("room",),
    LATENCY_SECONDS,
)
TO_PUBLISHED = Metric(
    f"{PREFIX}record_to_published_seconds",
    "histogram",
    "From a command record's timestamp to the commit of its event in Kafka, a record each; what was published again "
    "after a crash is among them.",
    ("room",),
    LATENCY_SECONDS,
)
PUBLISHED = Metric(
    f"{PREFIX}events_published_total", "counter", "Events that went out in committed Kafka transactions.", ("room",)
)
QUEUE = Metric(
    f"{PREFIX}publish_queue_batches", "gauge", "Batches decided by this process and not published yet.", ("room",)
)
DECIDED_AGAIN = Metric(
    f"{PREFIX}batches_decided_again_total",
    "counter",
    "Batches that were rolled back and decided again or in parts: contention (another process's locks), fault "
    "(a record that fails), tranche (one is released in the midst).",
    ("room", "cause"),
)
TAKEOVERS = Metric(
    f"{PREFIX}partitions_taken_over_total",
    "counter",
    "Partitions recovered on an assignment: epoch raised, positions compared.",
    ("room",),
)
REPUBLISHED = Metric(
    f"{PREFIX}batches_republished_total",
    "counter",
    "Batches of a predecessor (or of the session before) that were decided and are published by this one.",
    ("room",),
)
PRODUCERS = Metric(
    f"{PREFIX}producers_made_total",
    "counter",
    "Transactional producers made: one an assignment, and one after each error of its predecessor.",
    ("room",),
)

# --- The ledger: read by one process of all (see ledger.py), so that nothing is counted twice -------------------------

LEDGER_UP = Metric(
    f"{PREFIX}ledger_read_up",
    "gauge",
    "1 where this process reads the metrics of the ledger and could; 0 where it could not. Absent where another reads.",
)
UNNAMED = Metric(
    f"{PREFIX}unnamed_campaigns", "gauge",
    "Campaigns that run now and are among `other` in the metrics of the ledger: there are more than are named.",
)  # fmt: skip
QUOTA = Metric(
    f"{PREFIX}campaign_quota_vouchers", "gauge", "Vouchers that a campaign may grant, top-ups included.", ("campaign",)
)
BUDGET = Metric(
    f"{PREFIX}campaign_budget_minor", "gauge",
    "What a campaign may cost, top-ups included, in minor units.", ("campaign", "currency"),
)  # fmt: skip
OPEN = Metric(f"{PREFIX}campaign_open", "gauge", "1 while the campaign is neither paused nor closed.", ("campaign",))
STARTS = Metric(
    f"{PREFIX}campaign_start_timestamp_seconds", "gauge", "When the campaign starts, since 1970.", ("campaign",)
)
ENDS = Metric(f"{PREFIX}campaign_end_timestamp_seconds", "gauge", "When the campaign ends, since 1970.", ("campaign",))
RELEASED = Metric(
    f"{PREFIX}campaign_released_timestamp_seconds", "gauge",
    "When the campaign's latest tranche so far was released, since 1970; its start where none was yet.", ("campaign",),
)  # fmt: skip
NEXT_RELEASE = Metric(
    f"{PREFIX}campaign_next_release_timestamp_seconds", "gauge",
    "When the campaign's next tranche is released, since 1970; absent where none is to come.", ("campaign",),
)  # fmt: skip
VOUCHERS = Metric(
    f"{PREFIX}balance_vouchers",
    "gauge",
    "Vouchers by role: pool and lease can still be granted; granted, held and spent are out; minus loss was honoured "
    "past quota or budget.",
    ("campaign", "role"),
)
MONEY = Metric(
    f"{PREFIX}balance_minor",
    "gauge",
    "Money by role, in minor units; roles as for vouchers.",
    ("campaign", "currency", "role"),
)
POSITION = Metric(
    f"{PREFIX}position_offset", "gauge",
    "The first offset that is not decided: the ledger's own position.", ("topic", "partition"),
)  # fmt: skip
EPOCH = Metric(f"{PREFIX}position_epoch", "gauge", "How often the partition was taken over.", ("topic", "partition"))
LAG_RECORDS = Metric(
    f"{PREFIX}lag_records", "gauge",
    "Records between the ledger's position and the end of the topic.", ("topic", "partition"),
)  # fmt: skip
LAG_SECONDS = Metric(
    f"{PREFIX}lag_seconds",
    "gauge",
    "How long the first undecided record waits: its own age where the position has not moved between two looks; else "
    "at most, since the partition was last seen without lag or since the time of the last decided record, whichever is "
    "shorter. 0 without lag; absent until a record was seen to wait.",
    ("topic", "partition"),
)
DECIDED = Metric(
    f"{PREFIX}ledger_decided_total",
    "counter",
    "Commands decided since the ledger was made, by all processes ever.",
    ("topic",),
)
DEAD_LETTERED = Metric(
    f"{PREFIX}ledger_dead_lettered_total",
    "counter",
    "Records dead-lettered since the ledger was made, by all processes ever.",
    ("topic",),
)
WAITING = Metric(f"{PREFIX}waiting_users", "gauge", "Users in the waiting room, all lines together.", ("campaign",))
WAITING_AGE = Metric(
    f"{PREFIX}waiting_age_seconds",
    "gauge",
    "How long the head of the longest-waiting line has waited; 0 where nobody waits.",
    ("campaign",),
)
OUTBOX_BATCHES = Metric(
    f"{PREFIX}outbox_batches",
    "gauge",
    "Rows of the outbox: batches (a partition's part each) decided and not yet published and pruned.",
    ("topic",),
)
OUTBOX_RECORDS = Metric(f"{PREFIX}outbox_records", "gauge", "Records that these batches answer.", ("topic",))

# --- The audit: run by one process of all, a check at a time (see ledger_audit.py) ------------------------------------

AUDIT_CHECKS = Metric(
    f"{PREFIX}audit_checks",
    "gauge",
    "Checks of the audit by how they came out: passed, failed, or left_out (they take too long beside live traffic).",
    ("result",),
)
AUDIT_ROWS = Metric(
    f"{PREFIX}audit_offending_rows",
    "gauge",
    "Rows of the ledger that break this check, when it was last run; absent of one that is left out.",
    ("check",),
)
AUDIT_AT = Metric(
    f"{PREFIX}audit_last_run_timestamp_seconds", "gauge", "When the last run over the checks ended, since 1970."
)
AUDIT_SECONDS = Metric(f"{PREFIX}audit_last_run_seconds", "gauge", "How long that run took.")

PROCESS = (BUILD, READY, SESSIONS_LOST)
ROOM = (
    COMMANDS, OUTCOMES, SEGMENTS, VALUE, DEAD_LETTERS, BATCHES, STAGES, TO_COMMIT, TO_PUBLISHED, PUBLISHED, QUEUE,
    DECIDED_AGAIN, TAKEOVERS, REPUBLISHED, PRODUCERS,
)  # fmt: skip
LEDGER = (
    LEDGER_UP, UNNAMED, QUOTA, BUDGET, OPEN, STARTS, ENDS, RELEASED, NEXT_RELEASE, VOUCHERS, MONEY, POSITION, EPOCH,
    LAG_RECORDS, LAG_SECONDS, DECIDED, DEAD_LETTERED, WAITING, WAITING_AGE, OUTBOX_BATCHES, OUTBOX_RECORDS,
)  # fmt: skip
AUDIT = (AUDIT_CHECKS, AUDIT_ROWS, AUDIT_AT, AUDIT_SECONDS)
CATALOGUE: tuple[Metric, ...] = (*PROCESS, *ROOM, *LEDGER, *AUDIT)
