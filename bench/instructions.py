#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the instructions of an echo with those that are kept. See instructions.sh."""
import json
import pathlib
import sys

import counts
import run

KEPT = pathlib.Path(__file__).resolve().parent / "instructions.json"
BOUND = 1.05


def main(build, words):
    bench = run.Bench(build)
    state = run.system_state()
    counted = {server: round(counts.instructions(bench, server)) for server in ("ringtls", "uring")}
    counted |= {key: state[key] for key in ("openssl", "compiler")}
    ratio = counted["ringtls"] / counted["uring"]
    print(f"an echo of 64 B: {counted['ringtls']} instructions, the floor's {counted['uring']}, "
          f"ratio {ratio:.3f}")
    if words == ["--keep"]:
        KEPT.write_text(json.dumps(counted, indent=1) + "\n")
        return 0
    kept = json.loads(KEPT.read_text())
    same = all(kept[key] == counted[key] for key in ("openssl", "compiler"))
    # With another OpenSSL or compiler, the floor tells what is theirs.
    bound = kept["ringtls"] * BOUND if same else \
        kept["ringtls"] / kept["uring"] * counted["uring"] * BOUND
    print(f"kept: {kept['ringtls']}, the floor's {kept['uring']}; the bound here: {bound:.0f}")
    return 0 if counted["ringtls"] <= bound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
