# SPDX-License-Identifier: MIT
"""What run.py compares: which servers do the same work, and what the load asks of them."""
from dataclasses import dataclass

WARM, SECONDS = 0.2, 0.7  # of a window
SIZES = (64, 1024, 16384)
WRITES = (1024, 16384, 65536, 1048576)
ECHO_CONNECTIONS = (1, 64, 1000, 10000)
GROWTH_CONNECTIONS = (10, 64, 1000, 10000, 15000)
MANY = 10000


@dataclass(frozen=True)
class Server:
    title: str
    program: str  # below the build directory
    args: tuple = ()
    load_args: tuple = ()


SERVERS = {
    "ringtls": Server("ringtls", "bench/peers/bench_ringtls"),
    "ringtls_busy": Server("ringtls, busy polling", "bench/peers/bench_ringtls",
                           ("--busy-poll", 100)),
    "ringtls_deadline": Server("ringtls, a deadline on each read", "bench/peers/bench_ringtls",
                               ("--deadline", 60)),
    "ringtls_readable": Server("ringtls, waiting in readable()", "bench/peers/bench_ringtls",
                               ("--wait", "readable")),
    "uring": Server("floor: C, io_uring polls", "bench/peers/bench_uring"),
    "epoll": Server("C, epoll", "bench/peers/bench_epoll"),
    "asio_epoll": Server("Asio awaitables, epoll", "bench/peers/bench_asio_epoll"),
    "asio_deadline": Server("Asio, epoll, a timer on each read", "bench/peers/bench_asio_epoll",
                            ("--deadline", 60)),
    "asio_uring": Server("Asio awaitables, io_uring", "bench/peers/bench_asio_uring"),
    "blocking": Server("C, blocking, a thread each", "bench/peers/bench_blocking"),
    "go": Server("Go crypto/tls", "others/bench_go"),
    "rust": Server("tokio-rustls", "others/bench_rust"),
    "nginx": Server("nginx", ""),
    "plain": Server("limit: plain TCP, C, epoll", "bench/peers/bench_plain",
                    load_args=("--plain",)),
}
EVENT_LOOPS = ("ringtls", "uring", "epoll", "asio_epoll", "asio_uring")
OTHER_LANGUAGES = ("go", "rust")

LEFT_OUT = f"""\
- So that a run takes half an hour, a window is short ({SECONDS} s after {WARM} s), and windows of
  several sizes follow each other on connections that are opened once.
- Go and tokio-rustls: echo of 64 B on 64 and 1,000 connections, bulk in writes of 64 KiB,
  handshakes of TLS 1.3, memory of idle connections. Their TLS is not OpenSSL, so the rest would
  tell of their cryptography again.
- Asio on io_uring: echo on 1 and 64 connections and bulk of 64 KiB, where it can be seen how far it
  is from Asio on epoll. The C loop on epoll: all echoes; its bulk is the floor's code.
- Growth: from 10 to 15,000 connections, the C loop on epoll only where it echoes anyway, Asio's
  timers only on 1,000 and 10,000.
- Plain TCP: echo and bulk of each size, but not on 10,000 connections.
- Bulk both ways has no blocking server, as an SSL allows one blocking call at a time.
- Allocations and system calls are counted for a few of the echoes, not for each: a count does not
  vary as a time does."""


@dataclass(frozen=True)
class Setting:
    """What one of the load's answers is about, and the key of its results."""
    group: str
    text: str

    @property
    def name(self):
        return f"{self.group}: {self.text}"


@dataclass(frozen=True)
class Comparison:
    """The same load on each server in turn, round after round."""
    settings: tuple  # one for each line that the load prints
    servers: tuple
    work_args: tuple  # the server's
    load_args: tuple
    connections: int = 1
    warm: float = WARM
    extra: float = 0  # seconds that it takes besides the windows and the connections

    @property
    def seconds(self):
        """What one server is expected to take, in one round."""
        windows = len(self.settings) * (self.warm + SECONDS)
        return 0.2 + self.connections * 0.00035 + self.extra + windows


def echo_setting(size, connections, active=None):
    if active in (None, connections):
        return Setting("echo", f"{size} B, {connections:,} connection{'s' * (connections > 1)}")
    return Setting("growth", f"{size} B, {connections:,} connections, {active:,} busy")


def echo(connections, series, servers):
    """series: (size, active) of each window."""
    return Comparison(tuple(echo_setting(size, connections, active) for size, active in series),
                      servers, (),
                      ("--work", "echo", "--connections", connections, "--series",
                       ",".join(f"{size}:{active}" for size, active in series)),
                      connections, warm=0.4 if connections >= MANY else WARM)


def sizes(connections, then=()):
    return tuple((size, connections) for size in SIZES) + then


def growth(connections, servers):
    return echo(connections, ((64, connections), (64, 1)), servers)


def bulk_setting(work, size):
    return Setting("bulk", f"{work}, writes of {size:,} B")


def bulk(work, size, servers):
    return Comparison((bulk_setting(work, size),), servers, ("--work", work, "--size", size),
                      ("--work", work, "--size", size))


def handshake_setting(tls, resumed):
    return Setting("handshakes", f"TLS {tls}, {'resumed' if resumed else 'full'}")


def handshakes(tls, resumed, servers):
    return Comparison((handshake_setting(tls, resumed),), servers, (),
                      ("--work", "handshake", "--tls", tls) + (("--resume",) if resumed else ()))


def idle_setting(connections):
    return Setting("memory", f"{connections:,} idle connections")


def idle(connections, servers):
    return Comparison((idle_setting(connections),), servers, (),
                      ("--work", "idle", "--connections", connections), connections,
                      warm=0, extra=0.8)


def blocked_setting(connections):
    return Setting("memory", f"{connections:,} connections blocked in a write")


def blocked(connections, servers):
    """Writes so small that the buffer of the application is nothing beside OpenSSL's."""
    return Comparison((blocked_setting(connections),), servers,
                      ("--work", "source", "--size", 1024),
                      ("--work", "idle", "--size", 0, "--connections", connections), connections,
                      warm=0, extra=1.5)


def http_setting(connections):
    return Setting("HTTP", f"1 KiB, {connections:,} connections")


def http(connections):
    return Comparison((http_setting(connections),), ("ringtls", "uring", "nginx"),
                      ("--work", "http"),
                      ("--work", "http", "--connections", connections), connections)


def whole():
    yield echo(1, sizes(1), EVENT_LOOPS + ("plain",))
    yield echo(1, ((64, 1),), ("ringtls_busy",))
    yield echo(64, sizes(64), EVENT_LOOPS + ("plain",))
    yield echo(64, ((64, 64),), OTHER_LANGUAGES)
    yield echo(64, ((64, 1),), ("ringtls", "uring", "asio_epoll"))
    yield echo(1000, sizes(1000, ((64, 1),)), ("ringtls", "uring", "epoll", "asio_epoll", "plain"))
    yield echo(1000, ((64, 1000),), OTHER_LANGUAGES)
    yield echo(MANY, sizes(MANY, ((64, 1),)), ("ringtls", "uring", "epoll", "asio_epoll"))
    yield growth(10, ("ringtls", "uring", "asio_epoll", "ringtls_deadline"))
    yield growth(1000, ("ringtls_deadline", "asio_deadline"))
    yield growth(MANY, ("ringtls_deadline", "asio_deadline"))
    yield growth(15000, ("ringtls", "uring", "asio_epoll", "ringtls_deadline"))
    for work in ("source", "sink", "both"):
        for size in WRITES:
            servers = ("ringtls", "uring", "asio_epoll")
            servers += () if work == "both" else ("blocking",)
            servers += ("asio_uring",) + OTHER_LANGUAGES if size == 65536 else ()
            yield bulk(work, size, servers + ("plain",))
    for tls in ("1.3", "1.2"):
        for resumed in (False, True):
            yield handshakes(tls, resumed, ("ringtls", "uring", "asio_epoll", "blocking")
                             + (OTHER_LANGUAGES if tls == "1.3" else ()))
    yield idle(MANY, ("ringtls", "ringtls_readable", "uring", "asio_epoll") + OTHER_LANGUAGES)
    yield blocked(MANY, ("ringtls", "uring", "asio_epoll"))
    yield http(64)
    yield http(1000)


def quick():
    peers = ("ringtls", "uring", "asio_epoll")
    yield echo(1, ((64, 1),), ("ringtls", "ringtls_busy", "epoll"))
    yield echo(64, sizes(64), peers)
    yield echo(1000, ((64, 1000), (64, 1)), peers)
    for work in ("source", "sink"):
        for size in (1024, 65536):
            yield bulk(work, size, peers + ("blocking",))
    yield handshakes("1.3", False, peers + ("blocking",))
    yield handshakes("1.3", True, peers + ("blocking",))
    yield idle(1000, peers + ("ringtls_readable",))
    yield blocked(1000, peers)
    yield http(64)
