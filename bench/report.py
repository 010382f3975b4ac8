# SPDX-License-Identifier: MIT
"""Makes tables and plots of what run.py measured."""
import shutil
import statistics
import subprocess

from comparisons import TITLES

# What a group's table shows: column, field of the load's answer, factor, decimals.
COLUMNS = {
    "echo": (("requests/s", "rate", 1, 0), ("server CPU, µs/request", "cpu_us", 1, 2),
             ("user", "user_us", 1, 2), ("system", "system_us", 1, 2), ("p50, µs", "p50_us", 1, 0),
             ("p99", "p99_us", 1, 0), ("p99.9", "p999_us", 1, 0), ("server's core", "server_load", 1, 2),
             ("load's core", "load_cpu", 1, 2)),
    "bulk": (("GB/s", "gb_per_s", 1, 2), ("server CPU, s/GB", "server_s_per_gb", 1, 3),
             ("server's core", "server_load", 1, 2), ("load's core", "load_cpu", 1, 2)),
    "handshakes": (("handshakes/s", "rate", 1, 0), ("server CPU, µs", "cpu_us", 1, 1),
                   ("p50, µs", "p50_us", 1, 0), ("p99", "p99_us", 1, 0),
                   ("resumed", "resumed", 1, 2), ("server's core", "server_load", 1, 2),
                   ("load's core", "load_cpu", 1, 2)),
    "memory": (("KiB a connection, after the handshake", "handshake_kib", 1, 1),
               ("after an echo", "idle_kib", 1, 1)),
}
COLUMNS["growth"] = COLUMNS["echo"]

# The column that servers are compared by, and whether less is better.
DECIDING = {"echo": "cpu_us", "growth": "cpu_us", "bulk": "server_s_per_gb", "handshakes": "cpu_us",
            "memory": "idle_kib"}


def derived(answer):
    """The load's answer with what follows from it."""
    made = dict(answer)
    number = made.get("requests") or made.get("handshakes")
    cpu, seconds = made.get("server_cpu_s"), made.get("seconds")
    if number and cpu is not None:
        made["cpu_us"] = 1e6 * cpu / number
        made["user_us"] = 1e6 * made["server_user_s"] / number
        made["system_us"] = 1e6 * made["server_system_s"] / number
    if cpu is not None and seconds:
        made["server_load"] = cpu / seconds
    for field, after in (("handshake_kib", "after_handshakes"), ("idle_kib", "after_exchange")):
        if after in made:
            made[field] = (made[after]["server_private_kib"]
                           - made["before"]["server_private_kib"]) / made["connections"]
    return made


def values(answers, field):
    return [each[field] for each in map(derived, answers) if each.get(field) is not None]


def median(answers, field):
    found = values(answers, field)
    return statistics.median(found) if found else None


def spread(answers, field):
    found = values(answers, field)
    middle = statistics.median(found) if found else 0
    return (max(found) - min(found)) / middle if middle else None


def cell(value, decimals):
    return "" if value is None else f"{value:,.{decimals}f}"


def table(group, by_server):
    deciding = DECIDING[group]
    ours = median(by_server.get("ringtls", []), deciding)
    columns = COLUMNS[group]
    yield "| | " + " | ".join(column[0] for column in columns) + " | spread | ringtls / this |"
    yield "|---|" + "---:|" * (len(columns) + 2)
    for server, answers in by_server.items():
        if not answers:
            continue
        cells = [cell(median(answers, field) and median(answers, field) * factor, decimals)
                 for _, field, factor, decimals in columns]
        its = median(answers, deciding)
        ratio = ours / its if ours and its else None
        wide = spread(answers, deciding)
        yield (f"| {TITLES[server]} | " + " | ".join(cells)
               + f" | {cell(wide and 100 * wide, 0)} % | {cell(ratio, 2)} |")


def counts_table(counts):
    yield "| an echo of 64 B | instructions, user space | system calls | heap allocations |"
    yield "|---|---:|---:|---:|"
    for server, taken in counts.items():
        yield (f"| {TITLES[server]} | {cell(taken.get('instructions'), 0)}"
               f" | {cell(taken.get('system_calls'), 2)} | {cell(taken.get('allocations'), 3)} |")


def text(results):
    system = results["system"]
    yield "# What was measured"
    yield ""
    yield (f"{results['rounds']} rounds, interleaved, medians; the spread is (largest - smallest) / "
           "median of what the last column compares: server CPU, or memory. The server has one core, "
           "the load the other; a core's figure near 1 says who was the limit. The floor and "
           "the others do the same work (bench/peers).")
    yield ""
    for key, value in system.items():
        yield f"- {key}: {value}"
    if "counts" in results:
        yield from ("", "## Counted", "", *counts_table(results["counts"]))
    group = None
    for each in results["comparisons"]:
        if each["group"] != group:
            group = each["group"]
            yield from ("", f"## {group.capitalize()}")
        yield from ("", f"### {each['setting']}", "", *table(group, results["measured"][each["name"]]))


def plot(results, target, group, title, axis, name):
    """A cluster of bars a setting: one bar a server."""
    chosen = [c for c in results["comparisons"] if c["group"] == group]
    servers = [s for s in TITLES if any(results["measured"][c["name"]].get(s) for c in chosen)]
    if not chosen or not servers or not shutil.which("gnuplot"):
        return
    data = "\n".join(
        f'"{c["setting"].replace(", ", chr(92) + "n")}" ' + " ".join(
            str(median(results["measured"][c["name"]].get(s, []), DECIDING[group]) or 0)
            for s in servers) for c in chosen)
    bars = ", ".join(f'$data using {i + 2}:xtic(1) title "{TITLES[s]}"'
                     for i, s in enumerate(servers))
    width = max(900, 160 * len(chosen))
    for terminal, ending in ((f"svg size {width},460 background 'white'", "svg"),
                             (f"png size {width},460", "png")):
        script = (f"set terminal {terminal}\nset output '{target / name}.{ending}'\n"
                  f"$data << END\n{data}\nEND\nset style data histogram\n"
                  "set style histogram clustered gap 1\nset style fill solid 0.9\n"
                  f"set title '{title}'\nset ylabel '{axis}'\nset yrange [0:*]\n"
                  f"set key outside right\nset grid ytics\nplot {bars}\n")
        subprocess.run(["gnuplot"], input=script, text=True, check=False)


def write(results, target):
    (target / "results.md").write_text("\n".join(text(results)) + "\n")
    plot(results, target, "echo", "Echo: server CPU a request", "microseconds", "echo")
    plot(results, target, "bulk", "Bulk: server CPU a gigabyte", "seconds", "bulk")
    plot(results, target, "handshakes", "Handshakes: server CPU each", "microseconds", "handshakes")
    plot(results, target, "growth", "Echo of 64 B: server CPU a request", "microseconds", "growth")
    plot(results, target, "memory", "Memory of an idle connection", "KiB", "memory")
