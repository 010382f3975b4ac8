# SPDX-License-Identifier: MIT
"""Makes tables and plots of what run.py measured."""
import comparisons
import plots
import summary
import targets
from comparisons import SERVERS, echo_setting
from figures import DECIDING, Figures
from markdown import cell, percent, row

# What a group's table shows: column, field of the load's answer, decimals.
CORES = (("server's core", "server_load", 2), ("load's core", "load_cpu", 2))
ECHO_COLUMNS = (("requests/s", "rate", 0), ("server CPU, µs/request", "cpu_us", 2),
                ("user", "user_us", 2), ("system", "system_us", 2), ("p50, µs", "p50_us", 0),
                ("p99", "p99_us", 0), ("p99.9", "p999_us", 0), *CORES)
COLUMNS = {
    "echo": ECHO_COLUMNS,
    "HTTP": ECHO_COLUMNS,
    "bulk": (("GB/s", "gb_per_s", 2), ("server CPU, s/GB", "server_s_per_gb", 3), *CORES),
    "handshakes": (("handshakes/s", "rate", 0), ("server CPU, µs", "cpu_us", 1),
                   ("p50, µs", "p50_us", 0), ("p99", "p99_us", 0), ("resumed", "resumed", 2),
                   *CORES),
}
GROWTH_PLOTTED = ("ringtls", "ringtls_deadline", "uring", "asio_epoll")
GROWTH_ONLY = ("ringtls_deadline", "asio_deadline")
PLOTS = (("echo", "Echo: server CPU a request", "microseconds"),
         ("bulk", "Bulk: server CPU a gigabyte", "seconds"),
         ("handshakes", "Handshakes: server CPU each", "microseconds"),
         ("HTTP", "HTTP, 1 KiB: server CPU a request", "microseconds"))


def in_memory(figures, setting):
    """OpenSSL's part of this work without a socket, or None."""
    if setting.group == "echo":
        return figures.in_memory(number_before(setting.text, " B"), "echo_us")
    if setting == comparisons.handshake_setting("1.3", False):
        return figures.in_memory(64, "handshake_us")
    if setting.group == "bulk" and not setting.text.startswith("both"):
        work, _, size = setting.text.partition(", writes of ")
        return figures.in_memory(number_before(size, " B"), f"{work}_s_per_gb")
    return None


def number_before(text, unit):
    return int(text.split(unit)[0].replace(",", ""))


def table(figures, setting):
    columns = COLUMNS[setting.group]
    deciding = DECIDING[setting.group]
    yield row("", *(column[0] for column in columns), "spread", "ringtls / this")
    yield "|---|" + "---:|" * (len(columns) + 2)
    for server in SERVERS:
        if server in GROWTH_ONLY or not figures.servers(setting).get(server):
            continue
        yield row(SERVERS[server].title,
                  *(cell(figures.median(setting, server, field), decimals)
                    for _, field, decimals in columns),
                  percent(figures.spread(setting, server)),
                  cell(figures.ratio(setting, "ringtls", server), 2))
    limit = in_memory(figures, setting)
    if limit:
        ours = figures.median(setting, "ringtls")
        yield row("limit: OpenSSL in memory",
                  *(cell(limit, decimals) if field == deciding else ""
                    for _, field, decimals in columns),
                  "", cell(ours and ours / limit, 2))


def counts_table(figures):
    yield row("an echo", "server", "instructions, user space", "system calls of its own",
              "shared ones", "heap allocations")
    yield "|---|---|---:|---:|---:|---:|"
    seen = dict.fromkeys((each["size"], each["connections"], each["server"])
                         for each in figures.results["counts"])
    for size, connections, server in sorted(seen, key=lambda key: (key[0], key[1])):
        calls = figures.count(server, "system_calls", size, connections) or {}
        yield row(echo_setting(size, connections).text, SERVERS[server].title,
                  cell(figures.count(server, "instructions", size, connections), 0),
                  cell(calls.get("own"), 2), cell(calls.get("shared"), 2),
                  cell(figures.count(server, "allocations", size, connections), 2))


def memory_table(figures, settings):
    states = list(memory_states(settings))
    idle = next((setting for _, setting, field in states if field == "handshake_kib"), None)
    yield row("KiB a connection", *(title for title, _, _ in states),
              *(("spread after an echo", "ringtls / this") if idle else ()))
    yield "|---|" + "---:|" * (len(states) + (2 if idle else 0))
    for server in SERVERS:
        found = [figures.median(setting, server, field) for _, setting, field in states]
        if any(found):
            yield row(SERVERS[server].title, *(cell(value, 1) for value in found),
                      *((percent(figures.spread(idle, server)),
                         cell(figures.ratio(idle, "ringtls", server), 2)) if idle else ()))
    # An echo's buffer is the application's, and part of this but for readable().
    yield row("limit: OpenSSL's own heap",
              *(cell(figures.heap("blocked_bytes" if "blocked" in title else "idle_bytes"), 1)
                for title, _, _ in states), *(("", "") if idle else ()))


def growth_rows(figures, settings, servers):
    for server in servers:
        found = [figures.median(setting, server) for setting in settings]
        if any(found):
            yield server, found


def growth_table(figures, settings):
    yield row("server CPU, µs/request",
              *(f"{connections:,}" for connections in comparisons.GROWTH_CONNECTIONS))
    yield "|---|" + "---:|" * len(settings)
    for server, found in growth_rows(figures, settings, SERVERS):
        if server not in ("plain", "ringtls_busy") and sum(map(bool, found)) > 1:
            yield row(SERVERS[server].title, *(cell(value, 2) for value in found))


def growth(one_busy):
    return [echo_setting(64, connections, 1 if one_busy else None)
            for connections in comparisons.GROWTH_CONNECTIONS]


def limits_text(figures):
    speed = figures.results["limits"]["speed"]
    yield "openssl speed on the server's core:"
    yield ""
    for size, rate in speed["aes_gb_per_s"].items():
        yield (f"- AES-128-GCM in pieces of {int(size):,} B: {rate:.2f} GB/s, {1 / rate:.3f} s/GB")
    yield (f"- ECDSA P-256: {speed['sign_us']:.1f} µs to sign, "
           f"{speed['verify_us']:.1f} µs to verify; X25519: {speed['derive_us']:.1f} µs to derive")


def sections(figures, settings):
    """Title and lines of each."""
    results = figures.results
    wanted = [target for target in targets.all_targets(figures)
              if target.met is not None or not results["partial"]]
    if wanted:
        yield "Targets", targets.table(wanted)
    if "counts" in results:
        yield "Counted", counts_table(figures)
    if "limits" in results:
        yield "The limit", limits_text(figures)
    for group in dict.fromkeys(setting.group for setting in settings):
        of_group = [setting for setting in settings if setting.group == group]
        title = group[0].upper() + group[1:]
        if group == "memory":
            yield title, memory_table(figures, of_group)
        elif group == "growth":
            for busy, one_busy in (("one connection", True), ("all", False)):
                yield (f"Growth: 64 B, {busy} of so many busy",
                       growth_table(figures, growth(one_busy)))
        else:
            yield title, (line for setting in of_group
                          if set(figures.servers(setting)) - set(GROWTH_ONLY)
                          for line in (f"### {setting.text}", "", *table(figures, setting), ""))


def text(figures, settings):
    results = figures.results
    yield "# What was measured"
    yield ""
    yield (f"Medians of {results['rounds']} interleaved rounds; the spread is (largest - smallest) "
           "/ median of what the last column compares: server CPU, or memory. A ratio is the "
           "median of the rounds' ratios. The server has one core, the load the other; a core's "
           "figure near 1 says who was the limit. The floor and the others do the same work "
           "(bench/peers).")
    yield ""
    for key, value in results["system"].items():
        yield f"- {key}: {value}"
    for title, lines in sections(figures, settings):
        yield from ("", f"## {title}", "", *lines)
    if not results["partial"]:
        yield from ("", "## Left out", "", comparisons.LEFT_OUT)


def charted(setting):
    """Growth has a plot of its own."""
    return setting.group != "echo" or setting in {
        echo_setting(size, connections) for size in comparisons.SIZES
        for connections in comparisons.ECHO_CONNECTIONS}


def plot_group(figures, settings, target, group, title, axis):
    """A cluster of bars a setting: one bar a server."""
    clusters = [(setting.text,
                 {server: figures.median(setting, server) for server in figures.servers(setting)})
                for setting in settings if setting.group == group and charted(setting)]
    clusters = [(label, found) for label, found in clusters if set(found) - set(GROWTH_ONLY)]
    servers = [server for server in SERVERS if server not in GROWTH_ONLY
               and any(found.get(server) for _, found in clusters)]
    plots.bars(target, group.lower(), title, axis, clusters, servers)


def memory_states(settings):
    """(column, setting, field) of what was measured."""
    for setting in settings:
        if setting.group == "memory" and "blocked" in setting.text:
            yield "blocked in a write", setting, "idle_kib"
        elif setting.group == "memory":
            yield "idle after handshake", setting, "handshake_kib"
            yield "idle after an echo", setting, "idle_kib"


def plot_memory(figures, settings, target):
    clusters = [(title, {server: figures.median(setting, server, field)
                         for server in figures.servers(setting)})
                for title, setting, field in memory_states(settings)]
    servers = [server for server in SERVERS if any(found.get(server) for _, found in clusters)]
    plots.bars(target, "memory", "Memory of a connection", "KiB", clusters, servers)


def plot_growth(figures, target):
    lines = []
    for one_busy in (False, True):
        how = "one busy" if one_busy else "all busy"
        for server, found in growth_rows(figures, growth(one_busy), GROWTH_PLOTTED):
            points = [f"{connections} {value}" for connections, value
                      in zip(comparisons.GROWTH_CONNECTIONS, found) if value]
            if len(points) > 2:
                lines.append((f"{SERVERS[server].title}, {how}", points,
                              plots.COLORS[server], 2 if one_busy else 1))
    if not lines:
        return
    data = "\n".join(f"$d{i} << END\n" + "\n".join(points) + "\nEND"
                     for i, (_, points, _, _) in enumerate(lines))
    drawn = ", ".join(f'$d{i} with linespoints linewidth 2 linecolor rgb "{color}" '
                      f'dashtype {dash} title "{title}"'
                      for i, (title, _, color, dash) in enumerate(lines))
    plots.gnuplot(target, "growth", "1000,460",
            f"{data}\nset title 'Echo of 64 B: server CPU a request'\nset ylabel 'microseconds'\n"
            "set xlabel 'connections'\nset logscale x\nset xrange [10:20000]\nset yrange [0:*]\n"
            f"set key outside right\nset grid\nplot {drawn}\n")


def write(results, target):
    figures = Figures(results)
    settings = [comparisons.Setting(each["group"], each["text"]) for each in results["settings"]]
    (target / "results.md").write_text("\n".join(text(figures, settings)) + "\n")
    for group, title, axis in PLOTS:
        plot_group(figures, settings, target, group, title, axis)
    plot_memory(figures, settings, target)
    plot_growth(figures, target)
    summary.write(figures, settings, target)
