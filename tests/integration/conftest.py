"""The shared broker and database server, and a clean world for each test."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.integration.unflushed import never_flush
from tests.integration.world import World, fresh_world, kill
from voucher_ledger.dev import cluster, kafka_server, postgres_server, processes
from voucher_ledger.dev.cluster import Endpoints
from voucher_ledger.runtime.settings import Settings


@pytest.fixture(scope="session", autouse=True)
def light_java() -> Iterator[None]:
    """For Kafka, wherever a test starts one: the optimising compiler takes half the CPU time of its start, and no
    broker here lives long enough for it to pay.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture(scope="session")
def cluster_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An embedded Kafka and Postgres for the whole run."""
    directory = tmp_path_factory.mktemp("cluster")
    never_flush(cluster.up(directory).postgres)
    yield directory
    cluster.down(directory)


@pytest.fixture
def endpoints(cluster_directory: Path) -> Endpoints:
    """Their addresses. A server that an earlier test left stopped or dead is started again: one failure stays one."""
    return cluster.up(cluster_directory)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the ends of the servers' logs below a failure: they are deleted with the run's folder."""
    report = yield
    directory = getattr(item, "funcargs", {}).get("cluster_directory")
    if report.failed and directory is not None:
        for log in (kafka_server.log_path(directory), postgres_server.log_path(directory)):
            if log.is_file():
                report.sections.append((f"The end of {log.name}", processes.log_tail(log, 0)))
    return report


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
