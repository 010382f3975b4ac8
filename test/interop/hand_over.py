# SPDX-License-Identifier: MIT
"""Listens on a free port, says which, and starts a command several times with that socket handed
over, as sd_listen_fds(3) has it. SIGTERM goes to all of them. Ends when they have, with success if
all did; if it is killed, so are they.

    hand_over.py TIMES COMMAND...
"""
import contextlib
import ctypes
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def start(listening, command):
    process = os.fork()
    if process:
        return process
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(listening.fileno(), 3)
    os.set_inheritable(3, True)  # dup2() leaves a descriptor alone that has its number already
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    os.execv(command[0], command)


def main():
    times, command = int(sys.argv[1]), sys.argv[2:]
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    processes = [start(listening, command) for _ in range(times)]

    def pass_on(number, _frame):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    signal.signal(signal.SIGTERM, pass_on)
    print(f"listening on 127.0.0.1:{listening.getsockname()[1]}", flush=True)
    listening.close()
    ended = [os.waitpid(process, 0)[1] for process in processes]
    sys.exit(0 if not any(ended) else 1)


if __name__ == "__main__":
    main()
