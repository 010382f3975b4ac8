# SPDX-License-Identifier: MIT
"""Figures out of what run.py measured: medians, spreads, and ratios of two servers."""
import statistics

# The field that servers are compared by; less is better.
DECIDING = {"echo": "cpu_us", "growth": "cpu_us", "bulk": "server_s_per_gb", "handshakes": "cpu_us",
            "HTTP": "cpu_us", "memory": "idle_kib"}


def derived(answer):
    """The load's answer with what follows from it."""
    made = dict(answer)
    number = made.get("requests") or made.get("handshakes")
    cpu, seconds = made.get("server_cpu_s"), made.get("seconds")
    if number and cpu is not None:
        made["cpu_us"] = 1e6 * cpu / number
        for part in ("user", "system"):
            if made.get(f"server_{part}_s") is not None:
                made[f"{part}_us"] = 1e6 * made[f"server_{part}_s"] / number
    if cpu is not None and seconds:
        made["server_load"] = cpu / seconds
    for field, after in (("handshake_kib", "after_handshakes"), ("idle_kib", "after_exchange")):
        if after in made:
            made[field] = (made[after]["server_private_kib"]
                           - made["before"]["server_private_kib"]) / made["connections"]
    return made


class Figures:
    def __init__(self, results):
        self.results = results
        self.answers = {name: {server: [derived(each) for each in answers]
                               for server, answers in by_server.items()}
                        for name, by_server in results["measured"].items()}

    def servers(self, setting):
        return self.answers.get(setting.name, {})

    def rounds(self, setting, server, field):
        """{round: value}"""
        return {each["round"]: each[field] for each in self.servers(setting).get(server, ())
                if each.get(field) is not None}

    def median(self, setting, server, field=None):
        found = self.rounds(setting, server, field or DECIDING[setting.group])
        return statistics.median(found.values()) if found else None

    def spread(self, setting, server):
        found = self.rounds(setting, server, DECIDING[setting.group]).values()
        middle = statistics.median(found) if found else 0
        return (max(found) - min(found)) / middle if middle else None

    def ratio(self, setting, ours, other, field=None):
        """The median of the rounds' ratios: what a round had of the machine, both had."""
        field = field or DECIDING[setting.group]
        first, second = (self.rounds(setting, server, field) for server in (ours, other))
        found = [first[number] / second[number] for number in first
                 if second.get(number)]
        return statistics.median(found) if found else None

    def count(self, server, what, size=64, connections=64):
        for each in self.results.get("counts", ()):
            if (each["server"], each["size"], each["connections"]) == (server, size, connections) \
                    and what in each:
                return each[what]
        return None

    def in_memory(self, size, field):
        rounds = self.results.get("limits", {}).get("in_memory", ())
        found = [each[str(size)][field] for each in rounds]
        return statistics.median(found) if found else None

    def heap(self, field):
        """KiB"""
        found = self.results.get("limits", {}).get("heap")
        return found[field] / 1024 if found else None
