# SPDX-License-Identifier: MIT
"""The few figures that README.md quotes: summary.md, and summary.svg and .png."""
import plots
from comparisons import SERVERS, bulk_setting, echo_setting, handshake_setting, http_setting
from markdown import row

SHOWN = ("ringtls", "uring", "asio_epoll", "go", "rust", "nginx")
WORKS = (("echo of 64 B, 64 connections", echo_setting(64, 64), "µs a request"),
         ("echo of 64 B, 1,000 connections", echo_setting(64, 1000), "µs a request"),
         ("sending, writes of 64 KiB", bulk_setting("source", 65536), "s a GB"),
         ("receiving, writes of 64 KiB", bulk_setting("sink", 65536), "s a GB"),
         ("handshake, TLS 1.3 full", handshake_setting("1.3", False), "µs each"),
         ("HTTP of 1 KiB, 64 connections", http_setting(64), "µs a request"))


def works(figures, settings):
    idle = next((s for s in settings if s.group == "memory" and "idle" in s.text), None)
    memory = (("memory, idle connection", idle, "KiB"),) if idle else ()
    return [(title, setting, unit) for title, setting, unit in WORKS + memory
            if figures.median(setting, "ringtls")]


def value(figures, setting, server):
    """Of idle connections ours wait in readable(), as an application with many of them would do."""
    if setting.group == "memory" and server == "ringtls":
        server = "ringtls_readable"
    return figures.median(setting, server)


def table(figures, chosen, servers):
    yield row("what it takes of the server: CPU, memory",
              *(SERVERS[server].title for server in servers))
    yield "|---|" + "---:|" * len(servers)
    for title, setting, unit in chosen:
        found = [value(figures, setting, server) for server in servers]
        yield row(f"{title}, {unit}",
                         *("" if each is None else f"{each:.3g}" for each in found))


def write(figures, settings, target):
    chosen = works(figures, settings)
    if len(chosen) < 2:
        return
    servers = [server for server in SHOWN
               if any(value(figures, setting, server) for _, setting, _ in chosen)]
    system = figures.results["system"]
    (target / "summary.md").write_text("\n".join(
        (*table(figures, chosen, servers), "",
         f"Medians of {figures.results['rounds']} rounds; one core for the server; {system['cpu']}, "
         f"Linux {system['kernel']}, {system['openssl'].split(' (')[0]}. Less is better.")) + "\n")
    clusters = []
    for title, setting, _ in chosen:
        ours = value(figures, setting, "ringtls")
        clusters.append((title, {server: (value(figures, setting, server) or 0) / ours
                                 for server in servers}))
    plots.bars(target, "summary",
               "What the same work takes of a server, ringtls = 1; less is better",
               "times ringtls", clusters, servers)
