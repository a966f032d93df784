"""librdkafka's security settings for the monitor's other client: kept, or refused by name."""

import ssl

import pytest

from voucher_ledger.runtime.settings import Settings, SettingsError

# Faust's own modules use what newer Pythons deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def credentials(**properties: str) -> object:
    from voucher_ledger.monitor.security import credentials as make

    given = {name.replace("_", "."): value for name, value in properties.items()}
    return make(Settings(kafka="k:1", postgres="host=p", kafka_properties=given))


def test_nothing_said_is_plaintext_and_what_only_tunes_is_passed_over() -> None:
    assert credentials() is None
    assert credentials(security_protocol="plaintext", linger_ms="5") is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_is_taken_over(mechanism: str) -> None:
    import faust

    made = credentials(
        security_protocol="SASL_SSL", sasl_mechanisms=mechanism, sasl_username="ana", sasl_password="secret"
    )
    assert isinstance(made, faust.SASLCredentials)
    assert (made.username, made.password, made.mechanism.value) == ("ana", "secret", mechanism)
    assert made.protocol.value == "SASL_SSL"
    assert made.ssl_context is not None
    assert made.ssl_context.verify_mode is ssl.CERT_REQUIRED
    assert made.ssl_context.check_hostname


def test_certificates_are_checked_unless_that_is_switched_off() -> None:
    import faust

    strict, unnamed = credentials(security_protocol="ssl"), credentials(
        security_protocol="ssl", ssl_endpoint_identification_algorithm="none"
    )  # fmt: skip
    blind = credentials(security_protocol="ssl", enable_ssl_certificate_verification="false")
    contexts = [made.context for made in (strict, unnamed, blind) if isinstance(made, faust.SSLCredentials)]
    assert [(context.check_hostname, context.verify_mode is ssl.CERT_REQUIRED) for context in contexts] == [
        (True, True), (False, True), (False, False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"security_protocol": "SSL", "ssl_keystore_location": "x"}, "VOUCHER_LEDGER_KAFKA_SSL_KEYSTORE_LOCATION"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI"}, "SASL_MECHANISM: .* not by GSSAPI"),
        ({"security_protocol": "SASL_SSL"}, "not by GSSAPI"),
        ({"security_protocol": "TLS"}, "SECURITY_PROTOCOL: TLS"),
        ({"security_protocol": "SSL", "ssl_ca_location": "no-such-file"}, "cannot be read"),
        ({"sasl_oauthbearer_config": "x"}, "SASL_OAUTHBEARER_CONFIG"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(properties: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        credentials(**properties)
