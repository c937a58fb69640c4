#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Put the servers of examples/ on a bad network, and under more peers than they are busy with.

usage: faults.py [--long] NAME...

NAME is echo, httpd or kv. The first one gets thousands of idle peers, with --long each of them.
Exit status 77, with the reason as the last line, when a program is missing. The environment has
URGE_BUILD, the build directory.
"""

import contextlib
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from server import Server, check, checks, eventually, receive

IDLE = 10000
REQUESTS = {"echo": b"0123456789abcdef", "httpd": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "kv": b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n"}


def ask(peer, request, size):
    peer.sendall(request)
    check(len(receive(peer, size)) == size, "an answer")


def answer_size(server, request):
    peer = server.connect()
    peer.sendall(request)
    return len(peer.recv(65536))


def raise_limit():
    """As many descriptors as we may have; returns how many idle peers that allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = min(IDLE, hard - 100)
    if n < IDLE:
        print(f"{n} idle connections, not {IDLE}: RLIMIT_NOFILE is {hard}")
    return n


@contextlib.contextmanager
def many_idle(name, n):
    """
    A peer is served beside n idle ones; what those have taken comes back when they are gone. That
    takes a while, so its end is waited for after whatever is done meanwhile.
    """
    request = REQUESTS[name]
    with Server(name, "--idle-timeout", "0") as server:
        size = answer_size(server, request)
        eventually(lambda: server.sockets() == 1, "no socket remains but the listener")
        files, memory = sorted(server.descriptors()), server.status("VmRSS")
        peers = []
        for _ in range(n):
            peers.append(server.connect())
            ask(peers[-1], request, size)
        used = server.status("VmRSS")
        print(f"{name}: {(used - memory) / n:.1f} KiB for each of {n} idle connections")
        cpu, begin = server.cpu(), time.monotonic()
        while time.monotonic() - begin < 1:
            ask(peers[-1], request, size)
            time.sleep(0.1)
        check(server.cpu() - cpu < 0.2, f"{server.cpu() - cpu} s of CPU in a second, nearly idle")
        check(server.status("Threads") < 20, f"{server.status('Threads')} threads")
        for peer in peers:
            peer.close()
        eventually(lambda: sorted(server.descriptors()) == files, f"only {files} remain open")
        begin = time.monotonic()
        yield
        eventually(lambda: server.status("VmRSS") <= 1.2 * memory,
                   f"{memory} KiB before, {used} with {n} connections, not back")
        print(f"{name}: {memory} KiB before, {used} with {n} connections, "
              f"{server.status('VmRSS')} after {time.monotonic() - begin:.0f} s")


def sysmon_ms(server):
    """CPU time of the server's sysmon, ms."""
    folder = f"/proc/{server.process.pid}/task"
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm", encoding="ascii") as comm:
            if comm.read().strip() != "urge-sysmon":
                continue
        with open(f"{folder}/{task}/schedstat", encoding="ascii") as stat:
            return int(stat.read().split()[0]) / 1e6
    return check(False, "a thread urge-sysmon")


def idle_peers_cost_sysmon_nothing(n):
    """Beside loops it is sysmon that sees requests, at a price that does not grow with the set."""
    request = REQUESTS["echo"]
    used = []
    with Server("echo", "--idle-timeout", "0", "--burn", "2") as server:
        peers = []
        for count in 1, n:
            peers += [server.connect() for _ in range(count - len(peers))]
            for peer in peers:
                ask(peer, request, len(request))
            before = sysmon_ms(server)
            for _ in range(100):
                ask(peers[0], request, len(request))
                time.sleep(0.005)
            used.append(sysmon_ms(server) - before)
        print(f"sysmon: {used[0]:.0f} ms for 100 requests, {used[1]:.0f} beside {n} idle peers")
        check(used[1] < 3 * used[0] + 30, "idle peers cost sysmon CPU time")
        for peer in peers:
            peer.close()


# ---- a bad network -------------------------------------------------------------------------------

def in_namespace(script):
    """Runs it in a network namespace of its own, whose loopback it may change."""
    return subprocess.run(["unshare", "-rn", "sh", "-c", script], stderr=subprocess.PIPE, text=True,
                          check=False)


def on_bad_link(name, discipline):
    """The server and its peers in a namespace, with loopback under the discipline; or why not."""
    setup = f"ip link set lo up mtu 1500 && tc qdisc add dev lo root {discipline}"
    probe = in_namespace(setup)
    if probe.returncode != 0:
        print(f"no {discipline.split()[0]}: {probe.stderr.strip()}")
        return False
    done = in_namespace(f"{setup} && exec {sys.argv[0]} --inside {name}")
    check(done.returncode == 0, f"the conversation under {discipline}: {done.stderr}")
    print(f"{name}: served under {discipline}")
    return True


def relay(source, sink, seed):
    """Passes bytes on in pieces that come late, in order; ends as the source does."""
    chance = random.Random(seed)
    try:
        while data := source.recv(65536):
            while data:
                n = chance.randint(1, len(data))
                time.sleep(chance.uniform(0, 0.02))
                sink.sendall(data[:n])
                data = data[n:]
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def converse(name, server, connect):
    """Ten peers, each with pipelined requests: all answers, and the right ones, come back."""
    request = REQUESTS[name]
    size = answer_size(server, request)
    failures = []

    def peer(number):
        s = connect(number)
        s.sendall(request)
        one = receive(s, size)
        for _ in range(5):
            s.sendall(request * 20)
            got = receive(s, 20 * size)
            # the answers of httpd have the time in them
            if len(got) != 20 * size or got != one * 20 and name != "httpd":
                failures.append(got[:200])
        s.shutdown(socket.SHUT_WR)
        if s.recv(1):
            failures.append("more than was asked for")

    threads = [threading.Thread(target=peer, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, failures)


def delays(name):
    """By the kernel if it can delay; else it drops what is too fast, and a relay delays."""
    if on_bad_link(name, "netem delay 10ms 5ms 25% loss 1% reorder 10%"):
        return
    on_bad_link(name, "tbf rate 4mbit burst 3000 limit 6000")
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    print(f"SEED={seed}")
    with Server(name) as server:
        def connect(number):
            ours, end = socket.socketpair()
            far = server.connect()
            for source, sink, salt in (end, far, 0), (far, end, 1):
                threading.Thread(target=relay, daemon=True,
                                 args=(source, sink, seed + 2 * number + salt)).start()
            return ours
        converse(name, server, connect)


def main(arguments):
    if arguments[0] == "--inside":
        with Server(arguments[1]) as server:
            converse(arguments[1], server, lambda number: server.connect())
        return
    each = arguments[0] == "--long"
    names = arguments[each:]
    n = raise_limit()
    idle_peers_cost_sysmon_nothing(n)
    with many_idle(names[0], n):
        for name in names:
            delays(name)
    for name in names[1:] if each else []:
        with many_idle(name, n):
            pass
    print(f"{checks[0]} checks")


main(sys.argv[1:])
