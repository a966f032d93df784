"""Settings from the environment, prefix VOUCHER_LEDGER_: read once at the edge and handed down."""

import os
import re
from collections.abc import Mapping
from difflib import SequenceMatcher

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

PREFIX = "VOUCHER_LEDGER_"
KAFKA_PREFIX = f"{PREFIX}KAFKA_"
METRICS_PORT = f"{PREFIX}METRICS_PORT"
CACHE = f"{PREFIX}CACHE"  # where the embedded Kafka's jars are kept: no processor's, read by voucher_ledger.dev

# Kubernetes puts variables of every Service of the namespace into every pod, as Docker did for links: of one named
# voucher-ledger (or voucher-ledger-kafka) VOUCHER_LEDGER_SERVICE_HOST, VOUCHER_LEDGER_PORT_8080_TCP_ADDR and so on.
# Nobody wrote them, so they are neither settings nor misspellings. Of the settings one is named so: a Service named
# voucher-ledger-metrics makes it an address, tcp://10.0.0.1:9100, which is no port.
_OF_A_SERVICE = re.compile(r"(.*_)?SERVICE_(HOST|PORT)(_.*)?|(.*_)?PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?")

_PORT_MAX = 65_535
_HOUR_MS = 3_600_000  # librdkafka takes no longer session


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it and says what it should be."""


class Settings(BaseModel):
    """Where Kafka and Postgres are, and every limit of a processor. It reads no environment by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kafka: str = Field(min_length=1, description="bootstrap servers, host:port[,host:port]")
    postgres: str = Field(min_length=1, description="a libpq connection string or URI")
    kafka_properties: dict[str, str] = Field(default_factory=dict, description="librdkafka properties (KAFKA_*)")

    batch_records_max: int = Field(default=5_000, ge=1, le=100_000, description="records decided in one transaction")
    publish_batches_max: int = Field(
        default=4, ge=1, le=64, description="decided batches that may wait to be published"
    )
    fetch_queue_kib: int = Field(
        default=32_768, ge=1_024, le=2_097_151, description="KiB of records fetched ahead, for all partitions"
    )
    poll_seconds: float = Field(default=0.2, gt=0, le=5, description="wait for the first record of a batch")
    session_timeout_ms: int = Field(
        default=6_000, ge=1_000, le=_HOUR_MS, description="Kafka takes a silent instance for dead after this"
    )
    transaction_timeout_ms: int = Field(
        default=10_000, ge=1_000, le=_HOUR_MS, description="Kafka aborts a silent transaction after this"
    )
    attempts_max: int = Field(
        default=8, ge=1, le=1_000, description="failed sessions in a row before the process gives up"
    )
    # Not ..._PORT: Kubernetes sets a variable of that name for a Service called voucher-ledger-monitor.
    monitor_address: str = Field(default="127.0.0.1:8081", description="host:port of the monitor's page and metrics")
    decide_attempts_max: int = Field(default=10, ge=3, description="tries of one batch against contention")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=_PORT_MAX,
        description="/metrics, /healthz, /readyz; 0: none. `run all`: it and those after it",
    )

    @field_validator("kafka")
    @classmethod
    def _has_ports_that_exist(cls, servers: str) -> str:
        """Refused here: librdkafka takes 99999 for 34463, and asks there."""
        for server in servers.split(","):
            _, colon, port = server.strip().rpartition(":")
            if colon and port.isdecimal() and not 1 <= int(port[:6]) <= _PORT_MAX:
                raise ValueError(f"{server.strip()}: a port is from 1 to {_PORT_MAX}")
        return servers

    @field_validator("monitor_address")
    @classmethod
    def _has_a_port(cls, address: str) -> str:
        """Refused here: 0 would be a port that nobody knows, and one above the last is noticed after minutes."""
        found = re.fullmatch(r"\S+:(\d{1,5})", address)
        if found is None or not 1 <= int(found[1]) <= _PORT_MAX:
            raise ValueError(f"not host:port with a port from 1 to {_PORT_MAX}")
        return address


def known_names() -> list[str]:
    """The variables that are read, without those of librdkafka's properties (KAFKA_PREFIX and the property's name)."""
    fields = (name for name in Settings.model_fields if name != "kafka_properties")
    return [*(f"{PREFIX}{name.upper()}" for name in fields), CACHE]


def refuse_unknown_names(environment: Mapping[str, str]) -> None:
    """Raise SettingsError where a variable looks like a setting and is none: misspelt, it would silently do nothing."""
    known = known_names()
    unknown = sorted(
        name
        for name in environment
        if name.upper().startswith(PREFIX)
        and name not in known
        and not _of_a_service(name, environment[name])
        and not (name.startswith(KAFKA_PREFIX) and name != KAFKA_PREFIX)
    )
    if unknown:
        raise SettingsError("; ".join(f"{name} is no setting: did you mean {_nearest(name)}?" for name in unknown))


def _of_a_service(name: str, value: str) -> bool:
    """Whether the platform made this variable, of a Service or a link."""
    if name == METRICS_PORT:
        return "://" in value
    return name.startswith(PREFIX) and _OF_A_SERVICE.fullmatch(name.removeprefix(PREFIX)) is not None


def _nearest(name: str) -> str:
    """The known name that is most like `name`; librdkafka's property where only the word KAFKA is misspelt."""
    wanted = name.upper()
    _, _, rest = wanted.removeprefix(PREFIX).partition("_")
    candidates = [*known_names(), *([f"{KAFKA_PREFIX}{rest}"] if rest else [])]
    return max(candidates, key=lambda candidate: SequenceMatcher(None, wanted, candidate).ratio())


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process, or those in `environment` and no other.

    `VOUCHER_LEDGER_KAFKA_SECURITY_PROTOCOL=SASL_SSL` becomes the librdkafka property `security.protocol`.
    Raises SettingsError where one is missing, wrong or unknown.
    """
    given = os.environ if environment is None else environment
    refuse_unknown_names(given)
    variables = {name: value for name, value in given.items() if not _of_a_service(name, value)}
    properties = {
        _property(name.removeprefix(KAFKA_PREFIX).lower()): value
        for name, value in variables.items()
        if name.startswith(KAFKA_PREFIX)
    }
    fields = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in variables.items()
        if name.startswith(PREFIX) and not name.startswith(KAFKA_PREFIX) and name != CACHE
    }
    try:
        settings = Settings.model_validate({**fields, "kafka_properties": properties})
    except ValidationError as error:
        unset = [item["type"] in ("missing", "string_too_short") for item in error.errors()]
        wrong = "; ".join(
            f"{PREFIX}{str(item['loc'][0]).upper()}: {'not set' if missing else item['msg']}"
            for item, missing in zip(error.errors(), unset, strict=True)
        )
        hint = (
            " (`voucher-ledger dev up` prints both addresses of an embedded Kafka and Postgres)" if any(unset) else ""
        )
        raise SettingsError(f"{wrong}{hint}") from error
    check_postgres(f"{PREFIX}POSTGRES", settings.postgres)
    _check_properties(settings)
    return settings


def _property(name: str) -> str:
    """The property's name in librdkafka: one alone is spelt with an underscore."""
    return name if name == "log_level" else name.replace("_", ".")


def check_postgres(name: str, dsn: str) -> None:
    """Raise SettingsError where what the setting or option `name` holds is no connection string."""
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise SettingsError(f"{name} is no connection string: {str(error).strip()}") from error


def _check_properties(settings: Settings) -> None:
    """Make a client for a moment, a silent one: librdkafka alone knows its properties and their values."""
    if not settings.kafka_properties:
        return
    try:
        AdminClient({"bootstrap.servers": settings.kafka, **settings.kafka_properties, "log_level": 0})
    except KafkaException as error:
        cause = error.args[0].str()
        if "GSSAPI" in cause and not settings.kafka_properties.keys() & {"sasl.mechanism", "sasl.mechanisms"}:
            cause = f"set {KAFKA_PREFIX}SASL_MECHANISM, PLAIN for instance (without it: {cause})"
        raise SettingsError(f"Kafka's client refuses a setting ({KAFKA_PREFIX}*): {cause}") from error
