# SPDX-License-Identifier: MIT
"""What OpenSSL costs without a socket: the servers' calls in memory, and openssl speed."""
import json
import subprocess

import comparisons

SPEED = {"ecdsap256": ("sign_us", "verify_us"), "ecdhx25519": ("derive_us",)}


def printed(bench, core, command):
    done = subprocess.run(["taskset", "-c", core, *map(str, command)], check=True,
                          capture_output=True, text=True)
    return done.stdout


def peer(bench, core, name, *args):
    return json.loads(printed(bench, core, [bench.bench / "peers" / name, "--cert",
                                            bench.certificate, "--key", bench.key, *args]))


def in_memory(bench, core):
    """{size: what bench_memory tells}; a round's."""
    sizes = sorted({*comparisons.SIZES, *comparisons.WRITES})
    return {str(size): peer(bench, core, "bench_memory", "--size", size) for size in sizes}


def heap(bench, core):
    return peer(bench, core, "bench_heap")


def speed(bench, core):
    """From openssl speed's machine-readable lines: bytes, or operations, a second."""
    found = {"aes_gb_per_s": {}}
    for size in comparisons.SIZES:
        text = printed(bench, core, ["openssl", "speed", "-mr", "-seconds", 1, "-bytes", size,
                                     "-evp", "aes-128-gcm"])
        line = next(line for line in text.splitlines() if line.startswith("+F:"))
        found["aes_gb_per_s"][str(size)] = float(line.split(":")[3]) * 1e-9
    for algorithm, names in SPEED.items():
        text = printed(bench, core, ["openssl", "speed", "-mr", "-seconds", 1, algorithm])
        line = next(line for line in text.splitlines() if line.startswith(("+F4:", "+F5:")))
        fields = line.split(":")
        for name, field in zip(names, fields[3:]):
            found[name] = 1e6 / float(field)
    return found
