"""The shared broker and database server, and a clean world for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.world import World, fresh_world, kill
from voucher_ledger.dev import cluster
from voucher_ledger.dev.cluster import Endpoints
from voucher_ledger.runtime.settings import Settings


@pytest.fixture(scope="session")
def cluster_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An embedded Kafka and Postgres for the whole run."""
    directory = tmp_path_factory.mktemp("cluster")
    cluster.up(directory)
    yield directory
    cluster.down(directory)


@pytest.fixture(scope="session")
def endpoints(cluster_directory: Path) -> Endpoints:
    """Their addresses."""
    return cluster.up(cluster_directory)


@pytest.fixture
def world(endpoints: Endpoints) -> Iterator[World]:
    """Fresh topics, groups and database; whatever the test spawned is killed after it."""
    made = fresh_world(endpoints.kafka, endpoints.postgres)
    yield made
    kill(made.children)
    made.connection.close()


@pytest.fixture
def settings(world: World) -> Settings:
    """The settings of this test's world."""
    return world.settings


@pytest.fixture
def database(world: World) -> str:
    """The DSN of this test's migrated database."""
    return world.settings.postgres
