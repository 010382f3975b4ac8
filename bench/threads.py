# SPDX-License-Identifier: MIT
"""threads.py BUILD ROUNDS: the measurement that threads.sh describes."""

import json
import statistics
import subprocess
import sys
from pathlib import Path


def measure(build: Path, threads: int) -> dict:
    """One run of the load generator against echo_server with as many threads."""
    server = subprocess.Popen(
        [build / "samples/echo_server", "--listen", "127.0.0.1:0", "--quiet",
         "--threads", str(threads), "--cert", build / "cert.pem", "--key", build / "key.pem"],
        stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().rsplit(":", 1)[1].strip()
        done = subprocess.run(
            [build / "bench/load/bench_load", "--port", port, "--work", "handshake", "--connections",
             "32", "--warm", "1", "--seconds", "5"],
            check=True, capture_output=True, text=True)
        return json.loads(done.stdout)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    build, rounds = Path(sys.argv[1]), int(sys.argv[2])
    rates: dict[int, list[float]] = {1: [], 2: []}
    shares: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for threads in rates:
            seen = measure(build, threads)
            rates[threads].append(seen["rate"])
            shares[threads].append(seen["load_cpu"])
    for threads, seen in rates.items():
        print(f"{threads} thread(s): {statistics.median(seen):.0f} handshakes a second "
              f"({', '.join(f'{rate:.0f}' for rate in seen)}), "
              f"the generator used {statistics.median(shares[threads]):.2f} of a core")
    print(f"2 threads serve {statistics.median(rates[2]) / statistics.median(rates[1]):.2f} times "
          "what one does")


if __name__ == "__main__":
    main()
