#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the library on purpose, one promise at a time, and sees whether its tests notice.

    sh test/mutants.sh              every mutant: about half an hour on two cores
    sh test/mutants.sh -c           only sees whether each still applies to the sources, once
    sh test/mutants.sh WORD...      those whose promise contains one of the words

A mutant replaces one passage of a source. It is noticed if one of its tests fails, crashes, or does
not end. Works on a copy of the tree, in build/mutants. Ends with "N passed, N failed, N skipped": a
mutant that is not noticed has failed. The table is in mutant_list.py.
"""
import filecmp
import os
import pathlib
import shutil
import subprocess
import sys
import time

from mutant_list import MUTANTS

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutants" / "tree"
BUILD = ROOT / "build" / "mutants" / "build"
PATIENCE = 600  # seconds


def program_of(test):
    """Of a test, or of a test@driver."""
    return "test/" + test.partition("@")[0].replace("/", "_") + "_test"


def environment_of(test):
    driver = test.partition("@")[2]
    return os.environ | ({"RINGTLS_DRIVER": driver} if driver else {})


def copy_tree():
    """What is in git, or will be; a file that has not changed keeps its time, and is not built again."""
    names = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout.split("\0")
    for source in (ROOT / name for name in names if name):
        target = COPY / source.relative_to(ROOT)
        if source.is_file() and not (target.is_file() and filecmp.cmp(source, target, False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def set_up():
    if (BUILD / "build.ninja").exists():
        return
    subprocess.run(
        ["meson", "setup", BUILD, COPY, "-Ddebug=true", "-Doptimization=1",
         "-Db_sanitize=address,undefined",
         "-Ddefault_library=static", "-Dtests=enabled", "-Dsamples=disabled", "-Dbench=disabled"],
        check=True, stdout=sys.stderr)


def build(tests):
    return subprocess.run(["ninja", "-C", BUILD, "test/pki", *map(program_of, tests)],
                          capture_output=True, text=True)


def run(test, limit=PATIENCE):
    """What became of it; empty if it passed."""
    try:
        ended = subprocess.run([BUILD / program_of(test)], cwd=BUILD, timeout=limit,
                               env=environment_of(test),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return "did not end"
    if ended.returncode < 0:
        return f"signal {-ended.returncode}"
    return f"{ended.stdout.decode(errors='replace').count(' ERROR: ')} errors" \
        if ended.returncode else ""


def applied(mutant):
    """The source's path in the copy, as it is and as it is broken; None if it does not apply once."""
    path = COPY / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return None
    return path, text, text.replace(mutant.old, mutant.new)


def usual_times(tests):
    """How many seconds each takes as it is; None if one does not pass."""
    times = {}
    for test in tests:
        begun = time.monotonic()
        if ended := run(test):
            print(f"mutants.py: {test} does not pass as it is: {ended}")
            return None
        times[test] = time.monotonic() - begun
    return times


def try_out(mutant, usual):
    """Whether it was noticed, and by what."""
    path, text, broken = applied(mutant)
    path.write_text(broken)
    try:
        made = build(mutant.tests)
        if made.returncode != 0:
            sys.stdout.write(made.stdout)
            return False, "it does not compile"
        for test in mutant.tests:
            if ended := run(test, 10 + 5 * usual[test]):
                return True, f"{test}: {ended}"
        return False, "NOT NOTICED by " + ", ".join(mutant.tests)
    finally:
        path.write_text(text)


def main(words):
    check_only = words[:1] == ["-c"]
    words = words[1:] if check_only else words
    chosen = [m for m in MUTANTS if not words or any(w in m.promise for w in words)]
    copy_tree()
    passed, failures = 0, []
    if not check_only:
        set_up()
        tests = sorted({test for m in chosen for test in m.tests})
        usual = usual_times(tests) if build(tests).returncode == 0 else None
        if usual is None:
            print("0 passed, 1 failed, 0 skipped")
            return 1
    for number, mutant in enumerate(chosen, 1):
        if applied(mutant) is None:
            noticed, how = False, f"{mutant.file} does not have its passage once"
        elif check_only:
            noticed, how = True, "applies"
        else:
            noticed, how = try_out(mutant, usual)
        passed += 1 if noticed else 0
        if not noticed:
            failures.append(mutant.promise)
        if not (check_only and noticed):
            print(f"{number}/{len(chosen)} {mutant.promise}: {how}", flush=True)
    for promise in failures:
        print("FAILED:", promise)
    print(f"{passed} passed, {len(failures)} failed, 0 skipped")
    return 0 if chosen and not failures else 1


if __name__ == "__main__":
    os.environ.setdefault("RINGTLS_BULK_MIB", "32")
    os.environ.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1")
    os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1")
    sys.exit(main(sys.argv[1:]))
