"""librdkafka's security properties (`VOUCHER_LEDGER_KAFKA_*`) as aiokafka, under Faust, takes them.

What has no counterpart there is refused: connecting without what the operator asked for would be silent, and unsafe.
"""

import ssl
from collections.abc import Mapping

import faust
from faust.types.auth import CredentialsT

from voucher_ledger.runtime.settings import KAFKA_PREFIX, Settings, SettingsError

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SASL = ("sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password")
_SSL = (
    "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password",
    "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification",
)  # fmt: skip
_KNOWN = frozenset(["security.protocol", *_SASL, *_SSL])
# Properties of these say whom to trust or who one is; all others only tune librdkafka, which Faust does not use.
_OF_SECURITY = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "https.", "oauth")


def credentials(settings: Settings) -> CredentialsT | None:
    """None for a plaintext connection.

    Raises SettingsError where a security property has no counterpart, or its value none.
    """
    given = settings.kafka_properties
    refused = sorted(name for name in given if name.startswith(_OF_SECURITY) and name not in _KNOWN)
    if refused:
        raise SettingsError(f"the monitor's Kafka client has no {', '.join(map(_variable, refused))}: leave it out")
    protocol = given.get("security.protocol", "plaintext").upper()
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(context=_context(given))
    if protocol not in ("SASL_PLAINTEXT", "SASL_SSL"):
        raise SettingsError(f"{_variable('security.protocol')}: {protocol} is none of Kafka's protocols")
    mechanism = given.get("sasl.mechanisms", given.get("sasl.mechanism", "")).upper()
    if mechanism not in _MECHANISMS:
        name = _variable("sasl.mechanism")
        raise SettingsError(
            f"{name}: the monitor can log in by {', '.join(_MECHANISMS)}, not by {mechanism or 'GSSAPI'}"
        )
    return faust.SASLCredentials(
        username=given.get("sasl.username"),
        password=given.get("sasl.password"),
        mechanism=mechanism,
        ssl_context=_context(given) if protocol == "SASL_SSL" else None,
    )


def _context(given: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=given.get("ssl.ca.location"))
        if "ssl.certificate.location" in given:
            context.load_cert_chain(
                given["ssl.certificate.location"], given.get("ssl.key.location"), given.get("ssl.key.password")
            )
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{KAFKA_PREFIX}SSL_*: the certificates cannot be read: {error}") from error
    if given.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if given.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _variable(name: str) -> str:
    return f"{KAFKA_PREFIX}{name.replace('.', '_').upper()}"
