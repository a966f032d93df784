"""Produces what confluent_kafka's own Producer can't: a header whose name is not UTF-8. By librdkafka itself."""

import ctypes
from importlib.metadata import files

import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.world import World

# From librdkafka's rdkafka.h: rd_kafka_type_t and rd_kafka_vtype_t.
_PRODUCER = 0
_END, _TOPIC, _VALUE, _KEY, _HEADERS = 0, 1, 4, 5, 10
_ERROR_BYTES_MAX = 512


def produce_with_header_name(world: World, topic: str, name: bytes, key: bytes, value: bytes) -> None:
    """Send one record with one header; returns when it is delivered. Skips the test where librdkafka lies elsewhere."""
    bundled = [file for file in files("confluent_kafka") or [] if file.name.startswith("librdkafka")]
    if not bundled:
        pytest.skip("confluent_kafka comes without a librdkafka of its own here")
    library = ctypes.CDLL(str(bundled[0].locate()))
    for made in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, made).restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(_ERROR_BYTES_MAX)
    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    servers = world.settings.kafka.encode()
    library.rd_kafka_conf_set(configuration, b"bootstrap.servers", servers, error, ctypes.c_size_t(_ERROR_BYTES_MAX))
    client = library.rd_kafka_new(_PRODUCER, configuration, error, ctypes.c_size_t(_ERROR_BYTES_MAX))
    assert client, error.value
    producer = ctypes.c_void_p(client)
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(1)))
    library.rd_kafka_header_add(headers, name, ctypes.c_ssize_t(len(name)), b"value", ctypes.c_ssize_t(5))
    sent = library.rd_kafka_producev(
        producer,
        _TOPIC, ctypes.c_char_p(topic.encode()),
        _VALUE, ctypes.c_char_p(value), ctypes.c_size_t(len(value)),
        _KEY, ctypes.c_char_p(key), ctypes.c_size_t(len(key)),
        _HEADERS, headers,
        _END,
    )  # fmt: skip
    assert sent == 0
    assert library.rd_kafka_flush(producer, int(WAIT_SECONDS_MAX * 1000)) == 0
    library.rd_kafka_destroy(producer)
