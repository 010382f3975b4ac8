# SPDX-License-Identifier: MIT
"""What ringtls is to reach, beside what a run saw."""
from dataclasses import dataclass

import comparisons
from comparisons import bulk_setting, echo_setting, handshake_setting

EDGES = 0.01  # what a count of some thousand echoes may be off


@dataclass(frozen=True)
class Target:
    what: str
    seen: tuple  # None where it was not measured
    bound: float
    least: bool = False  # the bound is the least, not the most
    decimals: int = 2

    @property
    def met(self):
        if not self.seen or None in self.seen:
            return None
        return all(value >= self.bound if self.least else value <= self.bound
                   for value in self.seen)


def difference(value, other):
    return None if value is None or other is None else value - other


def echo_targets(figures):
    at_64, at_1000, at_1 = (echo_setting(64, connections) for connections in (64, 1000, 1))
    def ratio(*args):
        return (figures.ratio(*args),)
    yield Target("echo, 64 connections: CPU / floor's", ratio(at_64, "ringtls", "uring"), 1.03)
    yield Target("echo, 64 connections: CPU / Asio's", ratio(at_64, "ringtls", "asio_epoll"), 0.80)
    yield Target("echo, 1,000 connections: CPU / Asio's",
                 ratio(at_1000, "ringtls", "asio_epoll"), 0.70)
    yield Target("echo, 64 and 1,000 connections: requests a second / Asio's",
                 ratio(at_64, "ringtls", "asio_epoll", "rate")
                 + ratio(at_1000, "ringtls", "asio_epoll", "rate"), 1, least=True)
    yield Target("one connection: p50 / epoll's", ratio(at_1, "ringtls", "epoll", "p50_us"), 1)
    yield Target("one connection, busy polling: p50 / epoll's",
                 ratio(at_1, "ringtls_busy", "epoll", "p50_us"), 0.9)


def bulk_targets(figures):
    for other, title, bound in (("asio_epoll", "Asio's", 0.95), ("blocking", "blocking's", 1.03)):
        for work in ("source", "sink") + (("both",) if other == "asio_epoll" else ()):
            seen = tuple(figures.ratio(bulk_setting(work, size), "ringtls", other)
                         for size in comparisons.WRITES
                         if figures.servers(bulk_setting(work, size)))
            yield Target(f"bulk, {work}: CPU a GB / {title}, at each write size", seen, bound)


def handshake_targets(figures):
    settings = [handshake_setting(tls, resumed)
                for tls in ("1.3", "1.2") for resumed in (False, True)]
    for other, title, bound in (("blocking", "a blocking loop's", 0.97),
                                ("asio_epoll", "Asio's", 1.05)):
        seen = tuple(figures.ratio(setting, "ringtls", other, "rate") for setting in settings
                     if figures.servers(setting))
        yield Target(f"handshakes a second / {title} (1.3 full, resumed, 1.2 full, resumed)", seen,
                     bound, least=True)


def memory_targets(figures):
    """What waits in read() has the application's buffer, as the floor's has: it is compared with
    that. Of fewer connections the server's own share would be seen."""
    idle = comparisons.idle_setting(comparisons.MANY)
    for when, field in (("after the handshake", "handshake_kib"), ("after an echo", "idle_kib")):
        taken = figures.median(idle, "ringtls_readable", field)
        yield Target(f"memory, in readable() {when}: KiB above OpenSSL's own",
                     (difference(taken, figures.heap("idle_bytes")),), 2)
        yield Target(f"memory, in readable() {when}: KiB in all", (taken,), 16, decimals=1)
        yield Target(f"memory, in read() {when}: KiB above the floor's",
                     (difference(*(figures.median(idle, server, field)
                                   for server in ("ringtls", "uring"))),), 2)


def count_targets(figures):
    calls = figures.count("ringtls", "system_calls")
    yield Target("heap allocations of an echo by the library itself (the floor's are OpenSSL's)",
                 (difference(figures.count("ringtls", "allocations"),
                             figures.count("uring", "allocations")),), EDGES, decimals=3)
    yield Target("system calls an echo, but for the shared one", (calls and calls["own"],),
                 2 + EDGES)
    ours, floors = (figures.count(server, "instructions") for server in ("ringtls", "uring"))
    yield Target("instructions an echo / floor's", (ours and floors and ours / floors,), 1.05)


def growth_target(figures):
    """What the floor's own cost grew by is taken off ours."""
    cost = {(server, connections): figures.median(echo_setting(64, connections), server)
            for server in ("ringtls", "uring") for connections in (64, comparisons.MANY)}
    seen = None
    if None not in cost.values():
        floors = cost["uring", comparisons.MANY] - cost["uring", 64]
        seen = (cost["ringtls", comparisons.MANY] - floors) / cost["ringtls", 64]
    yield Target("CPU a request, 10,000 / 64 active connections, without the floor's growth",
                 (seen,), 1.2)


def all_targets(figures):
    yield from echo_targets(figures)
    yield from bulk_targets(figures)
    yield from handshake_targets(figures)
    yield from memory_targets(figures)
    yield from count_targets(figures)
    yield from growth_target(figures)


def table(targets):
    yield "| target | seen | bound | met |"
    yield "|---|---:|---:|:---:|"
    for target in targets:
        seen = " / ".join("-" if value is None else f"{value:.{target.decimals}f}"
                          for value in target.seen) or "-"
        sign = "≥" if target.least else "≤"
        met = {True: "yes", False: "**no**", None: "not measured"}[target.met]
        yield f"| {target.what} | {seen} | {sign} {target.bound:g} | {met} |"
