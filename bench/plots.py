# SPDX-License-Identifier: MIT
"""Plots by gnuplot, as SVG and PNG."""
import shutil
import subprocess

from comparisons import SERVERS

COLORS = {"ringtls": "#d62728", "ringtls_busy": "#ff9896", "ringtls_deadline": "#ff9896",
          "ringtls_readable": "#ff9896", "uring": "#7f7f7f", "epoll": "#c7c7c7",
          "asio_epoll": "#1f77b4", "asio_deadline": "#aec7e8", "asio_uring": "#aec7e8",
          "blocking": "#8c564b", "go": "#17becf", "rust": "#ff7f0e", "nginx": "#2ca02c",
          "plain": "#000000"}


def lines(text):
    """A cluster's title, cut so that it is no wider than the cluster."""
    return text.replace(", ", "\\n").replace("writes of ", "writes of\\n").replace(
        " connection", "\\nconnection")


def gnuplot(target, name, size, script):
    if not shutil.which("gnuplot"):
        return
    for terminal, ending in (("svg", "svg"), ("pngcairo", "png")):
        setup = (f"set terminal {terminal} size {size} noenhanced font 'sans,11' "
                 f"background 'white'\nset output '{target / name}.{ending}'\n")
        subprocess.run(["gnuplot"], text=True, check=False, input=setup + script)


def bars(target, name, title, axis, clusters, servers):
    """clusters: (title, {server: value})"""
    if not clusters or not servers:
        return
    data = "\n".join(f'"{lines(label)}" ' + " ".join(str(found.get(s) or "NaN") for s in servers)
                     for label, found in clusters)
    drawn = ", ".join(f'$data using {i + 2}:xtic(1) title "{SERVERS[s].title}" '
                      f'linecolor rgb "{COLORS[s]}"'
                      for i, s in enumerate(servers))
    gnuplot(target, name, f"{max(900, 130 * len(clusters))},460",
            f"$data << END\n{data}\nEND\nset style data histogram\n"
            "set style histogram clustered gap 1\nset style fill solid 0.9\n"
            f"set title '{title}'\nset ylabel '{axis}'\nset yrange [0:*]\n"
            f"set key outside top center horizontal\nset bmargin 4\nset grid ytics\nplot {drawn}\n")
