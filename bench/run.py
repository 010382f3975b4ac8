#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the comparisons, interleaved: in each round every server in turn does the same work. See run.sh.

The server has core 0, the load core 1. What is reported is the median over the rounds, and beside it
the spread, (largest - smallest) / median.
"""
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import time

import comparisons
import counts
import report

HERE = pathlib.Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = "0", "1"
PROGRAMS = {name: f"peers/bench_{name}" for name in
            ("ringtls", "uring", "epoll", "asio_epoll", "asio_uring", "blocking", "plain")}
PROGRAMS |= {"go": "others/bench_go", "rust": "others/bench_rust"}


class Bench:
    def __init__(self, build):
        self.build = pathlib.Path(build)
        self.bench = self.build / "bench"
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="ringtls-bench-"))
        self.certificate = self.scratch / "cert.pem"
        self.key = self.scratch / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "2",
             "-subj", "/CN=localhost"], check=True, capture_output=True)

    def program(self, server):
        path = (self.build if server in comparisons.OTHER_LANGUAGES else self.bench) / PROGRAMS[server]
        return path if path.exists() else None

    def start(self, server, args, before=(), env=None):
        """The process, once it listens, and its port."""
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *before, self.program(server), "--cert",
             self.certificate, "--key", self.key, *map(str, args)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"{server} does not listen: {line!r}")
        return process, line.rsplit(":", 1)[1].strip()

    @staticmethod
    def stop(process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def load(self, port, args):
        command = ["taskset", "-c", LOAD_CORE, self.bench / "load" / "bench_load", "--port", port]
        return subprocess.Popen([*command, *map(str, args)], stdout=subprocess.PIPE, text=True)

    def measure(self, comparison, server):
        """What the load tells of one server."""
        process, port = self.start(server, comparison.server_args)
        try:
            args = [*comparison.load_args, "--pid", process.pid]
            if server == "plain":
                args.append("--plain")
            if "idle" not in args:
                args += ["--seconds", comparison.seconds]
            load = self.load(port, args)
            line = load.stdout.readline()
            if "idle" in args:
                load.send_signal(signal.SIGTERM)
            if load.wait(60) != 0 or not line:
                raise RuntimeError(f"{comparison.name}, {server}: the load failed")
            return json.loads(line)
        finally:
            self.stop(process)


def system_state():
    def output(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(),
            "openssl": output("openssl", "version"),
            "liburing": output("pkg-config", "--modversion", "liburing"),
            "compiler": output("c++", "--version").splitlines()[0],
            "tls": "ECDSA P-256, X25519, TLS_AES_128_GCM_SHA256 "
                   "(TLS 1.2: ECDHE-ECDSA-AES128-GCM-SHA256)"}


def show(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def run_rounds(bench, chosen, rounds):
    """{comparison's name: {server: [one result a round]}}"""
    results = {c.name: {s: [] for s in c.servers if bench.program(s)} for c in chosen}
    jobs = [(number, c, s) for number in range(rounds) for c in chosen for s in results[c.name]]
    begun = time.monotonic()
    for done, (number, comparison, server) in enumerate(jobs):
        left = (time.monotonic() - begun) / done * (len(jobs) - done) if done else 0
        show(f"round {number + 1} of {rounds}: {comparison.name}: {server}"
             f" ({100 * done // len(jobs)} %, {left / 60:.0f} min left)")
        try:
            results[comparison.name][server].append(bench.measure(comparison, server))
        except (RuntimeError, subprocess.TimeoutExpired, json.JSONDecodeError) as failure:
            print(f"\n{failure}", file=sys.stderr)
    return results


def main(build, words):
    quick = words[:1] == ["quick"]
    words = words[1:] if quick else words
    chosen = [c for c in (comparisons.quick() if quick else comparisons.whole())
              if not words or any(word in c.name for word in words)]
    if not chosen:
        sys.exit("run.py: no comparison has such a name")
    bench = Bench(build)
    results = {"system": system_state(), "rounds": 3 if quick else 5,
               "comparisons": [{"name": c.name, "group": c.group, "setting": c.setting}
                               for c in chosen]}
    results["measured"] = run_rounds(bench, chosen, results["rounds"])
    if not words:
        results["counts"] = counts.take(bench, quick)
    target = HERE if not quick and not words else bench.build
    (target / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, target)
    print(f"\nrun.py: see {target / 'results.md'}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
