#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the comparisons, interleaved: in each round every server in turn does the same work. See
run.sh.

The server has core 0, the load core 1. What is reported is the median over the rounds, and beside
it the spread, (largest - smallest) / median.
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
import limits
import nginx
import report

HERE = pathlib.Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = "0", "1"
LIMITS_SECONDS = 6  # of a round
ONCE_SECONDS = 8  # of openssl speed and bench_heap


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
        if server == "nginx":
            return nginx.program()
        path = self.build / comparisons.SERVERS[server].program
        return path if path.exists() else None

    def start(self, server, args, before=(), env=None):
        """The process, once it listens, and its port."""
        args = (*comparisons.SERVERS[server].args, *args)
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *before, self.program(server), "--cert",
             self.certificate, "--key", self.key, *map(str, args)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            self.stop(process)
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
        """What the load tells of one server: an answer for each of the comparison's settings."""
        if server == "nginx":
            process, pid, port = nginx.start(self, SERVER_CORE)
        else:
            process, port = self.start(server, comparison.work_args)
            pid = process.pid
        load = self.load(port, [*comparison.load_args, *comparisons.SERVERS[server].load_args,
                                "--pid", pid, "--warm", comparison.warm,
                                "--seconds", comparisons.SECONDS])
        try:
            lines = [load.stdout.readline() for _ in comparison.settings]
            if "idle" in comparison.load_args:
                load.send_signal(signal.SIGTERM)
            if load.wait(60) != 0 or not all(lines):
                raise RuntimeError(f"{comparison.settings[0].name}, {server}: the load failed")
            return [json.loads(line) for line in lines]
        finally:
            self.stop(load)
            self.stop(process)


def package_version(name):
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", name],
                           capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else None


def system_state():
    def output(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release().split("-")[0],
            "openssl": output("openssl", "version"),
            "liburing": output("pkg-config", "--modversion", "liburing"),
            "compiler": output("c++", "--version").splitlines()[0],
            "congestion control":
                pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
            "peers": ", ".join(filter(None, (
                *(package_version(name) for name in ("libboost1.81-dev", "golang-go",
                                                     "librust-tokio-rustls-dev", "nginx")),))),
            "tls": "ECDSA P-256, X25519, TLS_AES_128_GCM_SHA256 "
                   "(TLS 1.2: ECDHE-ECDSA-AES128-GCM-SHA256)"}


def show(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Shows what is done and how long the rest will take, by what the done part took."""

    def __init__(self, total):
        self.total = total
        self.done = 0.0
        self.begun = time.monotonic()
        print(f"run.py: this will take about {total / 60:.0f} minutes", file=sys.stderr)

    def step(self, text, seconds):
        """Begins something that is expected to take so many seconds."""
        took = time.monotonic() - self.begun
        pace = took / self.done if self.done else 1
        show(f"{text} ({100 * self.done / self.total:.0f} %, "
             f"{(self.total - self.done) * pace / 60:.0f} min left)")
        self.done += seconds


def run_rounds(bench, chosen, rounds, progress):
    """{setting's name: {server: [answers, each with its round]}}"""
    results = {setting.name: {} for c in chosen for setting in c.settings}
    jobs = [(number, c, s) for number in range(rounds) for c in chosen for s in c.servers
            if bench.program(s)]
    for number, comparison, server in jobs:
        progress.step(f"round {number + 1} of {rounds}: {comparison.settings[0].name}: {server}",
                      comparison.seconds)
        try:
            answers = bench.measure(comparison, server)
        except (RuntimeError, OSError, subprocess.TimeoutExpired, json.JSONDecodeError) as failure:
            print(f"\n{failure}", file=sys.stderr)
            continue
        for setting, answer in zip(comparison.settings, answers):
            results[setting.name].setdefault(server, []).append({"round": number, **answer})
    return results


def measure_limits(bench, rounds, progress):
    taken = {"in_memory": []}
    for number in range(rounds):
        progress.step(f"round {number + 1} of {rounds}: OpenSSL in memory", LIMITS_SECONDS)
        taken["in_memory"].append(limits.in_memory(bench, SERVER_CORE))
    progress.step("openssl speed", ONCE_SECONDS)
    taken["heap"] = limits.heap(bench, SERVER_CORE)
    taken["speed"] = limits.speed(bench, SERVER_CORE)
    return taken


def settings_of(chosen):
    """Each once, in order."""
    return list(dict.fromkeys(setting for c in chosen for setting in c.settings))


def main(build, words):
    quick = words[:1] == ["quick"]
    words = words[1:] if quick else words
    chosen = [c for c in (comparisons.quick() if quick else comparisons.whole())
              if not words or any(word in setting.name for word in words for setting in c.settings)]
    if not chosen:
        sys.exit("run.py: no comparison has such a name")
    bench = Bench(build)
    rounds = int(os.environ.get("ROUNDS", 3 if quick else 5))
    total = rounds * sum(c.seconds for c in chosen for s in c.servers if bench.program(s))
    if not words:
        total += rounds * LIMITS_SECONDS + ONCE_SECONDS + counts.seconds(quick)
    progress = Progress(total)
    results = {"system": system_state(), "rounds": rounds, "partial": quick or bool(words),
               "settings": [{"name": s.name, "group": s.group, "text": s.text}
                            for s in settings_of(chosen)]}
    results["measured"] = run_rounds(bench, chosen, rounds, progress)
    if not words:
        results["limits"] = measure_limits(bench, rounds, progress)
        results["counts"] = counts.take(bench, quick, progress)
    target = HERE if not quick and not words else bench.build
    (target / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, target)
    print(f"\nrun.py: see {target / 'results.md'}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
