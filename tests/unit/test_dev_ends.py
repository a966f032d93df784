"""When a killed server has let go: of its threads, and of its port."""

import socket
import subprocess
import sys
import threading
from contextlib import closing

import psutil

from voucher_ledger.dev import ports, processes

# The first thread ends by itself while another listens on, as a broker's do for a moment after kill -9.
FIRST_THREAD_ENDS = """
import ctypes, os, socket, sys, threading
listening = socket.create_server(("127.0.0.1", 0))
def serve():
    print(listening.getsockname()[1], flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=serve).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_whose_first_thread_ended_is_alive_until_its_last_has() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", FIRST_THREAD_ENDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    port = int(child.stdout.readline())
    process = psutil.Process(child.pid)
    assert processes.wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 10)
    assert ports.listens(port)
    assert processes.is_alive(process)
    child.stdin.close()
    # It is nobody's to reap but ours, so it stays a zombie, and is told to have ended.
    assert processes.wait_until(lambda: not processes.is_alive(process), 10)
    assert ports.is_free(port)
    child.wait()
    child.stdout.close()


def test_a_port_that_is_let_go_meanwhile_becomes_free() -> None:
    with closing(socket.create_server((ports.LOOPBACK, 0))) as held:
        port = held.getsockname()[1]
        assert not ports.is_free(port)
        threading.Timer(0.1, held.close).start()
        assert ports.becomes_free(port)
