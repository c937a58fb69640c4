# SPDX-License-Identifier: MIT
"""A server of examples/ as a process, and what its clients in the tests need."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

BUILD = os.environ.get("URGE_BUILD", "build")
PATIENCE = 60  # seconds
checks = [0]


def check(condition, words):
    checks[0] += 1
    if not condition:
        print(f"FAILED: {words}")
        sys.exit(1)


def need(*clients):
    for client in clients:
        if not shutil.which(client):
            print(f"{client} is not installed")
            sys.exit(77)


class Server:
    """A running server; as a context it is stopped, gracefully, at the end."""

    def __init__(self, name, *options, nofile=None):
        program = f"{BUILD}/examples/{name}"
        if not os.path.exists(program):
            print(f"{program} was not built: node-llhttp is not installed")
            sys.exit(77)
        command = [program, "--port", "0", *options]
        if nofile:
            command = ["prlimit", f"--nofile={nofile}:{nofile}", *command]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r"port (\d+)$", self.process.stdout.readline())[1])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
            self.process.wait()
        elif self.process.poll() is None:
            self.stop()
            check(self.wait() == 0, f"exit status {self.process.returncode} after SIGTERM")

    def stop(self, signo=signal.SIGTERM):
        self.process.send_signal(signo)

    def wait(self):
        return self.process.wait(PATIENCE)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        s.settimeout(PATIENCE)
        return s

    def descriptors(self):
        """What it has open, but for what the runtime reads of its threads in /proc."""
        folder = f"/proc/{self.process.pid}/fd"
        files = []
        for fd in os.listdir(folder):
            try:
                files.append(os.readlink(f"{folder}/{fd}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return [file for file in files if not file.startswith("/proc/")]

    def sockets(self):
        """How many of them are sockets."""
        return sum(file.startswith("socket:") for file in self.descriptors())

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(rf"^{field}:\s*(\d+)", status.read(), re.MULTILINE)[1])

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def eventually(condition, words):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < deadline, words)
        time.sleep(0.01)


def receive(s, size):
    """Exactly so many bytes, or what came before the end."""
    got = b""
    while len(got) < size:
        more = s.recv(min(65536, size - len(got)))
        if not more:
            break
        got += more
    return got


def until_end(s):
    return receive(s, 1 << 40)


def reset(s):
    """A reset instead of an end."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def run(*command, **options):
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, **options)
