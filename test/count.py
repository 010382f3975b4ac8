#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts test cases in Meson's testlog.json: a line "passed failed skipped" for each program.

A doctest program (suite "doctest", which is in its name) counts by its test cases, and each of those
that printed "SKIPPED: ..." (skip.hpp) as skipped. Any other program is a script, and counts as one.
"""
import json
import re
import sys

SUMMARY = re.compile(
    r"^\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed \| +(\d+) skipped", re.M)
SKIPPED = re.compile(r"^SKIPPED: .*$", re.M)


def count(test):
    """What one program adds: passed, failed, skipped, and lines for people."""
    name, result = test["name"], test["result"]
    output = test.get("stdout") or ""
    skips = SKIPPED.findall(output)
    summary = SUMMARY.search(output)
    good = result in ("OK", "SKIP")
    if not summary:
        if result == "SKIP":
            reason = skips[0] if skips else "SKIPPED: " + (output.strip().splitlines() or ["?"])[-1]
            return 0, 0, 1, [f"{name}: {reason}"]
        if good and "doctest" not in name:
            return 1, 0, 0, []
        return 0, 1, 0, [f"{name}: FAILED ({result})"]
    passed, failed, skipped = map(int, summary.groups())
    lines = [f"{name}: {line}" for line in skips]
    passed, skipped = passed - len(skips), skipped + len(skips)
    if not good:
        # A sanitizer's report or a crash at the end fails a program whose cases all passed.
        failed = max(failed, 1)
        lines.append(f"{name}: FAILED ({result}), {skipped} skipped for a reason or not reached")
    elif passed + failed + skipped == 0:
        failed = 1
        lines.append(f"{name}: FAILED (no test case in it)")
    return passed, failed, skipped, lines


def main():
    ran = False
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            passed, failed, skipped, lines = count(test)
            ran = True
            for text in lines:
                print(text)
            print(passed, failed, skipped)
    if not ran:
        print("no test ran: FAILED")
        print(0, 1, 0)


if __name__ == "__main__":
    main()
