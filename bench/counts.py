# SPDX-License-Identifier: MIT
"""What can be counted rather than timed: instructions, system calls and allocations an echo."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile

import comparisons

CONNECTIONS = 64


def requests(bench, server, number, **how):
    """Runs so many echoes of 64 B through a server that was started in a special way."""
    process, port = bench.start(server, (), **how)
    try:
        load = bench.load(port, ["--work", "echo", "--size", 64, "--connections", CONNECTIONS,
                                 "--requests", number])
        load.communicate(timeout=600)
        if load.returncode != 0:
            raise RuntimeError(f"{server}: the load failed")
    finally:
        end(bench, process, port)


def end(bench, process, port):
    """Ends a server under strace, whose child it is, or under valgrind, which hears of a signal only
    when a system call returns."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]) if children else process.pid, signal.SIGTERM)
    socket.create_connection(("127.0.0.1", int(port))).close()
    bench.stop(process)


def per_request(bench, server, count, few, many):
    """count(number of requests): a total, of which the handshakes' part is the same in both."""
    return (count(many) - count(few)) / (many - few)


def instructions(bench, server):
    def count(number):
        with tempfile.NamedTemporaryFile() as out:
            requests(bench, server, number,
                     before=("valgrind", "--tool=callgrind", "--quiet",
                             f"--callgrind-out-file={out.name}"))
            text = open(out.name).read()
            return int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1))
    return per_request(bench, server, count, 1000, 5000)


def system_calls(bench, server):
    def count(number):
        with tempfile.NamedTemporaryFile() as out:
            requests(bench, server, number, before=("strace", "-f", "-c", "-o", out.name))
            return sum(int(line.split()[3]) for line in open(out.name)
                       if re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+\d+", line)
                       and not line.rstrip().endswith("total"))
    return per_request(bench, server, count, 2000, 20000)


def allocations(bench, server):
    def count(number):
        with tempfile.NamedTemporaryFile() as counter:
            counter.write(bytes(8))
            counter.flush()
            requests(bench, server, number, env={
                "LD_PRELOAD": str(bench.bench / "load" / "liballocations.so"),
                "BENCH_ALLOCATIONS": counter.name})
            return int.from_bytes(open(counter.name, "rb").read(8), "little")
    return per_request(bench, server, count, 2000, 20000)


def take(bench, quick):
    """{server: {what: a request}}"""
    taken = {}
    for server in ("ringtls", "uring") if quick else comparisons.EVENT_LOOPS:
        taken[server] = {}
        for what in (instructions, system_calls, allocations):
            try:
                taken[server][what.__name__] = what(bench, server)
            except (RuntimeError, subprocess.TimeoutExpired, OSError, AttributeError) as failure:
                print(f"{server}, {what.__name__}: {failure}")
    return taken
