"""The order of the measurements: a warm-up, then rounds in which ours and the peers take turns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks import latency, steps, traffic
from benchmarks.contestants import Contestant, KafkaStreams, Ledger, RowAtATime
from benchmarks.plan import MANY_CAMPAIGNS, ROW_AT_A_TIME_CLAIMS_MAX, Plan
from benchmarks.steps import Step
from benchmarks.throughput import Round, audited, measure
from benchmarks.world import Servers, World, fresh_world

PROCESSES = 2
Report = Callable[[str], None]


@dataclass(slots=True)
class Findings:
    """Everything measured; `rounds` are grouped by their label."""

    rounds: dict[str, list[Round]] = field(default_factory=dict)
    latencies: list[latency.Latency] = field(default_factory=list)
    steps: dict[str, Step] = field(default_factory=dict)
    lease_draws_per_thousand_claims: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Suite:
    """Runs a plan on running servers; `report` gets a line a measurement."""

    plan: Plan
    servers: Servers
    report: Report
    findings: Findings = field(default_factory=Findings)

    def run(self) -> Findings:
        """Measure all that the plan wants. Raises what the measurements raise."""
        self._warm_up()
        for number in range(self.plan.rounds):
            for turn in self._turns(number):
                turn()
        if self.plan.wants("rules"):
            self._waiting_room()
        if self.plan.wants("latency"):
            for who, contestant in self._timed().items():
                self._latency(who, contestant)
        if self.plan.wants("claims"):
            with fresh_world(self.servers, traffic.campaign_open(steps.CLAIMS)) as world:
                self.findings.steps = steps.measure(world)
            self.report("the steps of a claim")
        return self.findings

    def _turns(self, number: int) -> Iterator[Callable[[], None]]:
        """The measurements of one round, in turn: whatever slows the machine down meets all of them."""
        plan = self.plan
        beside = number < plan.side_rounds
        if any(plan.wants(part) for part in ("claims", "orders", "payments", "rules")):
            yield lambda: self._chain(with_orders=beside)
        if plan.wants("rules") and beside:
            yield self._many_campaigns
        if plan.wants("peers"):
            yield lambda: self._peer("kafka_streams_rocksdb", KafkaStreams("rocksdb"), plan.claims)
        if plan.wants("claims") and not plan.quick:
            yield lambda: self._claims("claims_1_process", 1, plan.claims, quota=plan.claims)
        if plan.wants("claims") and beside:
            yield lambda: self._claims("claims_sold_out", PROCESSES, plan.claims, quota=plan.quota_when_sold_out)
        if plan.wants("peers") and not plan.quick:
            yield lambda: self._peer("kafka_streams_memory", KafkaStreams("memory"), plan.claims)
            yield lambda: self._peer("row_at_a_time", RowAtATime(), min(plan.claims, ROW_AT_A_TIME_CLAIMS_MAX))

    def _warm_up(self) -> None:
        self.report("warming up")
        count = self.plan.warm_up_claims
        with fresh_world(self.servers, traffic.campaign_open(count)) as world:
            self._measure(world, Ledger("claims", 1), "warm_up", count, {"voucher.granted": count}, keep=False)

    def _chain(self, *, with_orders: bool) -> None:
        """Claims; then, in the same books, an order of every voucher, and every order's payment."""
        plan, count = self.plan, self.plan.claims
        with fresh_world(self.servers, traffic.campaign_open(count)) as world:
            granted = {"voucher.granted": count}
            self._measure(world, Ledger("claims", PROCESSES), "claims", count, granted, keep=True)
            self._count_draws(world, count)
            if with_orders and (plan.wants("orders") or plan.wants("payments")):
                self._follow(world, "orders", traffic.orders, "order.reserved", keep=plan.wants("orders"))
                if plan.wants("payments"):
                    self._follow(world, "payments", traffic.payments, "payment.settled", keep=True)
            audited(world)

    def _count_draws(self, world: World, claims: int) -> None:
        draws = world.connection.execute("SELECT sum(draws) FROM books.account").fetchone()
        assert draws is not None, "an aggregate returns a row"
        self.findings.lease_draws_per_thousand_claims.append(float(draws[0]) * 1_000 / claims)

    def _many_campaigns(self) -> None:
        """The same claims, of many campaigns in turn instead of one."""
        count = self.plan.claims
        quota = -(-count // MANY_CAMPAIGNS)
        openings = [traffic.campaign_open(quota, campaign_id) for campaign_id in traffic.campaign_ids(MANY_CAMPAIGNS)]
        with fresh_world(self.servers, *openings) as world:

            def preload() -> int:
                return traffic.preload(world.settings, "claim.commands", traffic.claims(count, MANY_CAMPAIGNS))

            contestant = Ledger("claims", PROCESSES)
            granted = {"voucher.granted": count}
            self._note(measure(world, contestant, "claims_many_campaigns", preload, lambda _: granted), keep=True)
            audited(world)

    def _waiting_room(self) -> None:
        """All claims wait; then as many vouchers come as wait, and all are admitted."""
        count = self.plan.waiting
        with fresh_world(self.servers, traffic.campaign_open(0, budget=count, queue=True)) as world:
            self._measure(world, Ledger("claims", PROCESSES), "queued", count, {"voucher.queued": count}, keep=True)
            world.connection.execute("VACUUM ANALYZE")

            def top_up() -> int:
                world.change_campaigns([traffic.campaign_top_up(count)])
                return count

            contestant = Ledger("claims", PROCESSES, sweeper=True)
            answers = {"voucher.queued": count, "voucher.granted": count}
            self._note(measure(world, contestant, "admitted", top_up, lambda _: answers), keep=True)
            audited(world)

    def _claims(self, label: str, processes: int, count: int, quota: int) -> None:
        with fresh_world(self.servers, traffic.campaign_open(quota)) as world:
            expected = {"voucher.granted": quota, "voucher.rejected": count - quota}
            self._measure(world, Ledger("claims", processes), label, count, expected, keep=True)
            audited(world)

    def _peer(self, label: str, contestant: Contestant, count: int) -> None:
        with fresh_world(self.servers, traffic.campaign_open(count)) as world:
            self._measure(world, contestant, label, count, {"voucher.granted": count}, keep=True)

    def _measure(
        self, world: World, contestant: Contestant, label: str, count: int, expected: dict[str, int], *, keep: bool
    ) -> None:
        def preload() -> int:
            return traffic.preload(world.settings, "claim.commands", traffic.claims(count))

        self._note(measure(world, contestant, label, preload, lambda _: expected), keep=keep)

    def _follow(
        self, world: World, room: str, commands: Callable[..., Iterator[traffic.Record]], event: str, *, keep: bool
    ) -> None:
        # What autovacuum would do in its own time; in the middle of a short measurement it would be an accident.
        world.connection.execute("VACUUM ANALYZE")

        def preload() -> int:
            topic = {"orders": "order.commands", "payments": "payment.commands"}[room]
            return traffic.preload(world.settings, topic, commands(world.connection))

        self._note(measure(world, Ledger(room, PROCESSES), room, preload, lambda count: {event: count}), keep=keep)

    def _timed(self) -> dict[str, Contestant]:
        """Whose latency is measured, in turn."""
        ours: dict[str, Contestant] = {f"ledger, {PROCESSES} processes": Ledger("claims", PROCESSES)}
        if self.plan.quick:
            return ours
        return {"ledger, 1 process": Ledger("claims", 1), **ours, "Kafka Streams, RocksDB": KafkaStreams("rocksdb")}

    def _latency(self, who: str, contestant: Contestant) -> None:
        warm_up_seconds, seconds = self.plan.latency_warm_up_seconds, self.plan.latency_seconds
        # Twice the cards that are claimed: how processes share the last of them is another story.
        cards = 2 * latency.CLAIMS_PER_SECOND * (warm_up_seconds + seconds)
        with fresh_world(self.servers, traffic.campaign_open(cards)) as world:
            found = latency.measure(world, contestant, who, warm_up_seconds, seconds)
            if isinstance(contestant, Ledger):
                audited(world)
        self.findings.latencies.append(found)
        self.report(f"latency, {who}: {found.milliseconds['median']:.1f} ms (median)")

    def _note(self, measured: Round, *, keep: bool) -> None:
        self.report(f"{measured.label}: {measured.per_second:,.0f} records/s")
        if keep:
            self.findings.rounds.setdefault(measured.label, []).append(measured)
