# SPDX-License-Identifier: MIT
"""What run.py compares: which servers do the same work, and what the load asks of them."""
from dataclasses import dataclass

EVENT_LOOPS = ("ringtls", "uring", "epoll", "asio_epoll", "asio_uring")
OTHER_LANGUAGES = ("go", "rust")

TITLES = {
    "ringtls": "ringtls",
    "uring": "floor: C, io_uring polls",
    "epoll": "C, epoll",
    "asio_epoll": "Asio awaitables, epoll",
    "asio_uring": "Asio awaitables, io_uring",
    "blocking": "C, blocking, a thread each",
    "go": "Go crypto/tls",
    "rust": "tokio-rustls",
    "plain": "no TLS: C, epoll",
}


@dataclass(frozen=True)
class Comparison:
    """One table's row group: the same load on each server in turn, round after round."""
    group: str
    setting: str
    servers: tuple
    server_args: tuple
    load_args: tuple
    seconds: float = 2

    @property
    def name(self):
        return f"{self.group} {self.setting}"


def echo(size, connections, servers):
    return Comparison("echo", f"{size} B, {connections} connections", servers, (),
                      ("--work", "echo", "--size", size, "--connections", connections))


def busy(connections, active):
    return Comparison("growth", f"{active} of {connections} connections busy",
                      EVENT_LOOPS, (), ("--work", "echo", "--size", 64, "--connections",
                                        connections, "--active", active))


def bulk(work, size, servers):
    return Comparison("bulk", f"{work}, writes of {size} B", servers,
                      ("--work", work, "--size", size),
                      ("--work", work, "--size", size, "--connections", 1))


def handshakes(tls, resumed, servers):
    return Comparison("handshakes", f"TLS {tls}, {'resumed' if resumed else 'full'}", servers, (),
                      ("--work", "handshake", "--tls", tls) + (("--resume",) if resumed else ()))


def idle(connections, servers):
    return Comparison("memory", f"{connections} idle connections", servers, (),
                      ("--work", "idle", "--connections", connections))


def whole():
    peers = EVENT_LOOPS + OTHER_LANGUAGES
    for size in (64, 1024, 16384):
        for connections in (1, 64, 1000, 10000):
            yield echo(size, connections, peers + ("plain",))
    for work in ("source", "sink", "both"):
        for size in (1024, 16384, 65536, 1048576):
            # A blocking thread cannot do both.
            yield bulk(work, size, peers + (("plain",) if work == "both" else ("blocking", "plain")))
    for tls in ("1.3", "1.2"):
        for resumed in (False, True):
            yield handshakes(tls, resumed, peers + ("blocking",))
    yield idle(10000, peers)
    for connections in (10, 100, 1000, 10000, 15000):
        yield busy(connections, 1)
        yield busy(connections, connections)


def quick():
    peers = ("ringtls", "uring", "asio_epoll")
    yield echo(64, 64, peers)
    yield echo(64, 1000, peers)
    yield echo(16384, 64, peers)
    yield bulk("source", 1024, peers + ("blocking",))
    yield bulk("source", 65536, peers + ("blocking",))
    yield bulk("sink", 65536, peers + ("blocking",))
    yield handshakes("1.3", False, peers + ("blocking",))
    yield idle(1000, peers)
