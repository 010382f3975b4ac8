# SPDX-License-Identifier: MIT
"""What can be counted rather than timed: instructions, system calls and allocations an echo."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile

import comparisons

# (size, connections) of the echoes, the first of them the one whose instructions are counted.
SETTINGS = ((64, 64), (64, 1), (64, 1000), (16384, 64))
FEW, MANY = 2000, 8000  # echoes
SHARED = {"io_uring_enter", "epoll_wait", "epoll_pwait", "epoll_pwait2"}
ESTIMATES = {"instructions": 7, "system_calls": 1.5, "allocations": 1.5}  # seconds for a server


def requests(bench, server, setting, number, **how):
    """Runs so many echoes through a server that was started in a special way."""
    size, connections = setting
    process, port = bench.start(server, (), **how)
    try:
        load = bench.load(port, ["--work", "echo", "--size", size, "--connections", connections,
                                 "--requests", number])
        load.communicate(timeout=600)
        if load.returncode != 0:
            raise RuntimeError(f"{server}: the load failed")
    finally:
        end(bench, process, port)


def end(bench, process, port):
    """Ends a server under strace, whose child it is, or under valgrind, which hears of a signal
    only when a system call returns."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]) if children else process.pid, signal.SIGTERM)
    with contextlib.suppress(ConnectionError):  # it has gone already
        socket.create_connection(("127.0.0.1", int(port))).close()
    bench.stop(process)


def per_request(count, few, many):
    """count(number of requests): a total, of which the handshakes' part is the same in both."""
    return (count(many) - count(few)) / (many - few)


def instructions(bench, server, setting=SETTINGS[0]):
    def count(number):
        with tempfile.NamedTemporaryFile() as out:
            requests(bench, server, setting, number,
                     before=("valgrind", "--tool=callgrind", "--quiet",
                             f"--callgrind-out-file={out.name}"))
            text = open(out.name).read()
            return int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1))
    return per_request(count, 1000, 5000)


def strace(bench, server, setting, number):
    """{system call: how often}"""
    with tempfile.NamedTemporaryFile() as out:
        requests(bench, server, setting, number, before=("strace", "-f", "-c", "-o", out.name))
        rows = (line.split() for line in open(out.name)
                if re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+\d+", line))
        return {row[-1]: int(row[3]) for row in rows if row[-1] != "total"}


def system_calls(bench, server, setting):
    """What is made for an echo alone, and the share of the calls that wait for all."""
    few, many = strace(bench, server, setting, FEW), strace(bench, server, setting, MANY)
    def an_echo(names):
        return sum(many[name] - few.get(name, 0) for name in names) / (MANY - FEW)
    return {"own": an_echo(many.keys() - SHARED), "shared": an_echo(many.keys() & SHARED)}


def allocations(bench, server, setting):
    def count(number):
        with tempfile.NamedTemporaryFile() as counter:
            counter.write(bytes(8))
            counter.flush()
            requests(bench, server, setting, number, env={
                "LD_PRELOAD": str(bench.bench / "load" / "liballocations.so"),
                "BENCH_ALLOCATIONS": counter.name})
            return int.from_bytes(open(counter.name, "rb").read(8), "little")
    return per_request(count, FEW, MANY)


def plan(quick):
    """(server, what, setting)"""
    for server in ("ringtls", "uring") if quick else comparisons.EVENT_LOOPS:
        yield server, instructions, SETTINGS[0]
        for setting in SETTINGS[:1] if quick else SETTINGS:
            yield server, system_calls, setting
            yield server, allocations, setting


def seconds(quick):
    return sum(ESTIMATES[what.__name__] for _, what, _ in plan(quick))


def take(bench, quick, progress):
    """[{"server", "size", "connections", and what was counted: a request's}]"""
    taken = []
    for server, what, setting in plan(quick):
        name = what.__name__
        progress.step(f"{name} of an echo: {server}", ESTIMATES[name])
        try:
            taken.append({"server": server, "size": setting[0], "connections": setting[1],
                          name: what(bench, server, setting)})
        except (RuntimeError, subprocess.TimeoutExpired, OSError, AttributeError) as failure:
            print(f"{server}, {name}: {failure}")
    return taken
