#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Test the servers of examples/ with real clients, and with peers that behave badly.

usage: servers.py echo|httpd|kv

Exit status 77, with the reason as the last line, when the program or a client is missing. The
environment has URGE_BUILD, the build directory.
"""

import itertools
import os
import re
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from server import (BUILD, Server, check, checks, eventually, need, receive, reset, run,
                    until_end)

# What holds for each server: ask() makes a request on a connection and checks the answer.


def stops_gracefully(name, ask, half, rest, answer):
    """What has been received is answered after SIGTERM; idle connections do not delay the end."""
    with Server(name) as server:
        idle, busy, held = server.connect(), server.connect(), server.connect()
        ask(idle)
        ask(busy)
        busy.sendall(half)
        time.sleep(0.1)
        busy.sendall(rest)
        ask(held)
        server.stop(signal.SIGSTOP)  # what comes now is there before it knows of the end
        held.sendall(half + rest)
        server.stop()
        server.stop(signal.SIGCONT)
        check(until_end(idle) == b"", "the end of an idle connection")
        check(until_end(busy).startswith(answer), "the answer to what had been received")
        check(until_end(held).startswith(answer), "the answer to what had just been received")
        check(server.wait() == 0, "exit status")
        try:
            server.connect()
            check(False, "a stopped server accepts")
        except ConnectionError:
            pass


def answers_all_before_it_stops(name, request):
    """Each whole request that came before the signal has its whole answer, then comes the end."""
    for count, held in itertools.product((1, 2000), (False, True) * 4):
        with Server(name) as server:
            peers = [server.connect() for _ in range(8)]
            for peer in peers:  # it has been accepted
                peer.sendall(request)
                size = len(peer.recv(65536))
            sent, answers = threading.Semaphore(0), []

            def client(peer, count=count, sent=sent, answers=answers):
                peer.sendall(request * count)
                sent.release()
                try:
                    answers.append(len(until_end(peer)))
                except ConnectionError as error:
                    answers.append(error)

            threads = [threading.Thread(target=client, args=(peer,)) for peer in peers]
            if held:  # nothing has been read before it knows of the end; else it is left to chance
                server.stop(signal.SIGSTOP)
            for thread in threads:
                thread.start()
            for _ in threads:
                sent.acquire()
            server.stop()
            server.stop(signal.SIGCONT)
            check(server.wait() == 0, "exit status after SIGTERM")
            for thread in threads:
                thread.join()
            check(answers == [count * size] * len(peers),
                  f"{answers} bytes of {count} answers to each, not {count * size}")


def stops_under_load(name, request):
    """Peers with ten requests under way get ten answers or none, and the server ends well."""
    for signo in signal.SIGINT, signal.SIGTERM:
        with Server(name) as server:
            peer = server.connect()
            peer.sendall(request)
            size = 10 * len(peer.recv(65536))
            ends = []

            def client(peer, ends=ends, size=size):
                answers = 0
                try:
                    while True:
                        peer.sendall(request * 10)
                        while answers % size or answers == 0:
                            more = peer.recv(size)
                            if not more:
                                return
                            answers += len(more)
                        ends.append(0)
                        answers = 0
                except ConnectionError:
                    pass
                finally:
                    ends.append(answers)

            threads = [threading.Thread(target=client, args=(server.connect(),)) for _ in range(8)]
            for thread in threads:
                thread.start()
            eventually(lambda ends=ends: len(ends) > 500, "answers")
            server.stop(signo)
            check(server.wait() == 0, f"exit status after signal {signo}")
            for thread in threads:
                thread.join()
            check(not any(ends), f"{[n for n in ends if n]} of {size} bytes of answers")


def answers_after_half_close(name, request):
    with Server(name) as server:
        peer = server.connect()
        peer.sendall(request)
        size = len(peer.recv(65536))
        peer.sendall(request * 1000)
        peer.shutdown(socket.SHUT_WR)
        check(len(until_end(peer)) == 1000 * size, "all answers after the end of the requests")


def survives_storms_of_deadlines(name, ask):
    """All idle peers reach their deadline at once, and half of them go away at that moment."""
    with Server(name, "--idle-timeout", "1") as server:
        busy = server.connect()
        ask(busy)
        before = server.sockets()
        peers = [server.connect() for _ in range(400)]
        for peer in peers:
            ask(peer)
        begin = time.monotonic()
        while time.monotonic() - begin < 0.9:
            ask(busy)
        for i, peer in enumerate(peers[::2]):
            ask(busy)
            if i % 2:
                reset(peer)
            else:
                peer.close()
        for peer in peers[1::2]:
            ask(busy)
            check(until_end(peer) == b"", "an end")
        eventually(lambda: server.sockets() <= before, f"more than {before} sockets remain")


def leaks_nothing(name, ask):
    with Server(name) as server:
        ask(server.connect())
        before = server.sockets()
        for _ in range(5):
            peers = [server.connect() for _ in range(100)]
            for i, peer in enumerate(peers):
                if i % 3:
                    ask(peer)
            for i, peer in enumerate(peers):
                if i % 2:
                    reset(peer)
                else:
                    peer.close()
        eventually(lambda: server.sockets() <= before, f"more than {before} sockets remain")
        eventually(lambda: server.status("Threads") < 20, "threads remain")


def survives_without_descriptors(name, ask):
    """More connections than descriptors: nobody spins, all are served in the end."""
    with Server(name, nofile=560) as server:  # the runtime's own are above 512
        peers = []
        for _ in range(600):
            peers.append(server.connect())
        time.sleep(0.5)
        cpu = server.cpu()
        time.sleep(1)
        check(server.cpu() - cpu < 0.3, f"{server.cpu() - cpu} s of CPU in a second of waiting")
        while peers:
            peer = peers.pop(0)
            ask(peer)
            peer.close()


def limits_connections(name, ask):
    with Server(name, "--max-conns", "3") as server:
        peers = [server.connect() for _ in range(6)]
        for peer in peers[:3]:
            ask(peer)
        peers[0].close()
        ask(peers[3])
        for peer in peers[1:4]:
            peer.close()
        ask(peers[4])
        ask(peers[5])
        for peer in peers[4:]:
            peer.close()


def drops_silent_peers(name, ask):
    with Server(name, "--idle-timeout", "1") as server:
        peer = server.connect()
        ask(peer)
        begin = time.monotonic()
        check(until_end(peer) == b"", "an end")
        check(time.monotonic() - begin > 0.9, "dropped too early")


def works_beside_loops(name, ask):
    with Server(name, "--burn", "2") as server:
        peer = server.connect()
        for _ in range(20):
            ask(peer)


def bounds_slow_readers(name, request, answer_size, ask):
    """Peers that ask for ever and never read: the server's memory does not grow with what they ask."""
    with Server(name) as server:
        ask(server.connect())
        before = server.status("VmRSS")
        peers = [server.connect() for _ in range(20)]
        sent = 0
        for peer in peers:
            peer.settimeout(0.2)
            block = request * (65536 // len(request))
            try:
                for _ in range(200):
                    peer.sendall(block)
                    sent += len(block)
            except TimeoutError:
                pass
        grown = server.status("VmRSS") - before
        print(f"{sent // len(request) * answer_size >> 20} MiB asked for, grown by {grown} KiB")
        check(grown < 20 * 512, f"grown by {grown} KiB for 20 slow readers")
        ask(server.connect())
        for peer in peers:
            peer.close()


def options_are_told(name):
    program = f"{BUILD}/examples/{name}"
    told = run(program, "--help")
    check(told.returncode == 0, "status of --help")
    for option in ("host", "port", "burn", "max-conns", "idle-timeout", "help"):
        check(f"--{option}".encode() in told.stdout, f"--help names {option}")
    for bad in (["--burn", "x"], ["--max-conns", "0"], ["--nonsense"], ["surplus"]):
        check(run(program, *bad).returncode == 2, f"refuses {bad}")


def common(name, ask, half, rest, answer):
    options_are_told(name)
    stops_gracefully(name, ask, half, rest, answer)
    answers_all_before_it_stops(name, half + rest)
    stops_under_load(name, half + rest)
    answers_after_half_close(name, half + rest)
    survives_storms_of_deadlines(name, ask)
    leaks_nothing(name, ask)
    survives_without_descriptors(name, ask)
    limits_connections(name, ask)
    drops_silent_peers(name, ask)
    works_beside_loops(name, ask)


# ---- echo ----------------------------------------------------------------------------------------


def ask_echo(peer):
    peer.sendall(b"echo?")
    check(receive(peer, 5) == b"echo?", "an echo")


def test_echo():
    Server("echo").process.kill()
    common("echo", ask_echo, b"ab", b"cd", b"abcd")
    bounds_slow_readers("echo", b"x" * 64, 64, ask_echo)
    with Server("echo") as server:
        peer = server.connect()
        data = os.urandom(8 << 20)

        def send():
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        check(until_end(peer) == data, "8 MiB come back")
        sender.join()
        peer = server.connect()
        for byte in data[:200]:
            peer.sendall(bytes([byte]))
        check(receive(peer, 200) == data[:200], "byte by byte")


# ---- httpd ---------------------------------------------------------------------------------------

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"Hello, world!\n"


def read_answer(peer, buffered=b""):
    """Status line and body of one answer, and what came behind it."""
    while b"\r\n\r\n" not in buffered:
        more = peer.recv(65536)
        check(more, "an answer, not the end")
        buffered += more
    head, rest = buffered.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    rest += receive(peer, length - len(rest))
    return head.split(b"\r\n")[0], rest[:length], rest[length:]


def ask_http(peer):
    peer.sendall(GET)
    status, body, _ = read_answer(peer)
    check((status, body) == (b"HTTP/1.1 200 OK", BODY), f"{status} {body}")


def test_httpd():
    need("curl", "wrk")
    Server("httpd").process.kill()
    with Server("httpd") as server:
        url = f"http://127.0.0.1:{server.port}"
        peer = server.connect()
        for byte in GET * 3:
            peer.sendall(bytes([byte]))
        rest = b""
        for _ in range(3):
            status, body, rest = read_answer(peer, rest)
            check((status, body) == (b"HTTP/1.1 200 OK", BODY), "byte by byte")
        peer.sendall(GET * 1000)
        for _ in range(1000):
            status, body, rest = read_answer(peer, rest)
            check((status, body) == (b"HTTP/1.1 200 OK", BODY), "1000 at once")
        peer.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET)
        check(read_answer(peer, rest)[0] == b"HTTP/1.1 405 Method Not Allowed", "a body is passed over")
        peer = server.connect()
        peer.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        check(until_end(peer).startswith(b"HTTP/1.1 404 Not Found\r\n"), "HTTP/1.0, and its end")
        peer = server.connect()
        peer.sendall(b"nonsense\r\n\r\n" * 1000)
        check(until_end(peer).startswith(b"HTTP/1.1 400 Bad Request\r\n"), "nonsense is refused")
        got = run("curl", "-sS", "-w", "%{http_code} %{num_connects};", f"{url}/", f"{url}/no",
                  f"{url}/?q")
        check(got.stdout == BODY + b"200 1;not found\n404 0;" + BODY + b"200 0;", f"curl: {got}")
        got = run("wrk", "-t1", "-c32", "-d2s", f"{url}/")
        print(got.stdout.decode())
        check(got.returncode == 0 and b"Non-2xx" not in got.stdout and
              b"Socket errors" not in got.stdout, "wrk")
        check(int(re.search(rb"(\d+) requests in", got.stdout)[1]) > 100, "wrk's requests")
    common("httpd", ask_http, GET[:10], GET[10:], b"HTTP/1.1 200 OK\r\n")
    bounds_slow_readers("httpd", GET, 120, ask_http)


# ---- kv ------------------------------------------------------------------------------------------


def resp(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def exchange(peer, request, answer):
    peer.sendall(request)
    got = receive(peer, len(answer))
    check(got == answer, f"{request[:80]}: {got[:80]}, not {answer[:80]}")


def ask_kv(peer):
    exchange(peer, resp("PING"), b"+PONG\r\n")


CONVERSATION = [
    (resp("SET", "a", "1"), b"+OK\r\n"),
    (resp("get", "a"), b"$1\r\n1\r\n"),
    (resp("GET", "none"), b"$-1\r\n"),
    (resp("INCR", "a"), b":2\r\n"),
    (resp("INCR", "fresh"), b":1\r\n"),
    (resp("DECR", "fresh"), b":0\r\n"),
    (resp("INCRBY", "a", 40), b":42\r\n"),
    (resp("SET", "text", "abc"), b"+OK\r\n"),
    (resp("INCR", "text"), b"-ERR value is not an integer or out of range\r\n"),
    (resp("SET", "max", 2**63 - 1), b"+OK\r\n"),
    (resp("INCR", "max"), b"-ERR value is not an integer or out of range\r\n"),
    (resp("MGET", "a", "none", "text"), b"*3\r\n$2\r\n42\r\n$-1\r\n$3\r\nabc\r\n"),
    (resp("MSET", "x", "1", "y", "2"), b"+OK\r\n"),
    (resp("EXISTS", "x", "y", "z"), b":2\r\n"),
    (resp("DEL", "x", "y", "z"), b":2\r\n"),
    (resp("TTL", "a"), b":-1\r\n"),
    (resp("TTL", "none"), b":-2\r\n"),
    (resp("EXPIRE", "a", 100), b":1\r\n"),
    (resp("EXPIRE", "none", 100), b":0\r\n"),
    (resp("TTL", "a"), b":100\r\n"),
    (resp("PERSIST", "a"), b":1\r\n"),
    (resp("TTL", "a"), b":-1\r\n"),
    (resp("EXPIRE", "a", -1), b":1\r\n"),
    (resp("GET", "a"), b"$-1\r\n"),
    (resp("SET", "n", "1", "NX"), b"+OK\r\n"),
    (resp("SET", "n", "2", "NX"), b"$-1\r\n"),
    (resp("SET", "n", "3", "XX"), b"+OK\r\n"),
    (resp("SET", "n", "3", "what"), b"-ERR syntax error\r\n"),
    (resp("GET"), b"-ERR wrong number of arguments for 'GET' command\r\n"),
    (resp("NONSENSE"), b"-ERR unknown command 'NONSENSE'\r\n"),
    (resp("SET", b"\r\n\0", b"*1\r\n\0"), b"+OK\r\n"),
    (resp("GET", b"\r\n\0"), b"$5\r\n*1\r\n\0\r\n"),
    (resp("SET", "", ""), b"+OK\r\n"),
    (resp("GET", ""), b"$0\r\n\r\n"),
    (b"PING\r\n", b"+PONG\r\n"),
    (b"  set   inline  v\r\n", b"+OK\r\n"),
    (resp("GET", "inline"), b"$1\r\nv\r\n"),
    (resp("FLUSHALL"), b"+OK\r\n"),
    (resp("DBSIZE"), b":0\r\n"),
]


def test_kv():
    need("redis-cli", "redis-benchmark")
    Server("kv").process.kill()
    with Server("kv") as server:
        peer = server.connect()
        for request, answer in CONVERSATION:
            exchange(peer, request, answer)
        # pipelined, then byte by byte: the same answers
        everything = b"".join(request for request, _ in CONVERSATION)
        answers = b"".join(answer for _, answer in CONVERSATION)
        peer.sendall(everything * 30)
        check(receive(peer, 30 * len(answers)) == answers * 30, "1000 at once")
        for byte in everything:
            peer.sendall(bytes([byte]))
        check(receive(peer, len(answers)) == answers, "byte by byte")
        large = os.urandom(3 << 20)
        exchange(peer, resp("SET", "large", large), b"+OK\r\n")
        exchange(peer, resp("GET", "large"), b"$%d\r\n%s\r\n" % (len(large), large))
        exchange(peer, resp("SET", "brief", "x", "PX", 50), b"+OK\r\n")
        time.sleep(0.1)
        exchange(peer, resp("GET", "brief"), b"$-1\r\n")
        for wrong in (b"*1\r\n:1\r\n", b"*x\r\n", b"*1\r\n$-5\r\n", b"*99999999\r\n"):
            bad = server.connect()
            bad.sendall(wrong)
            check(until_end(bad) == b"-ERR Protocol error\r\n", f"{wrong} is refused")
        cli = ("redis-cli", "-p", str(server.port))
        check(run(*cli, "set", "k", "v").stdout == b"OK\n", "redis-cli set")
        check(run(*cli, "get", "k").stdout == b"v\n", "redis-cli get")
        check(b"urge_version:" in run(*cli, "info").stdout, "redis-cli info")
        got = run(*cli, "--pipe", input=resp("INCR", "piped") * 10000)
        check(b"errors: 0, replies: 10000" in got.stdout, f"redis-cli --pipe: {got.stdout}")
        check(run(*cli, "get", "piped").stdout == b"10000\n", "all increments")
        for pipeline in ("1", "50"):
            got = run("redis-benchmark", "-p", str(server.port), "-q", "-n", "20000", "-c", "32",
                      "-P", pipeline, "-t", "ping,set,get,incr,mset")
            lines = re.findall(r"[\w ()]+: [\d.]+ requests per second.*", got.stdout.decode())
            print("\n".join(lines))
            check(got.returncode == 0 and len(lines) == 6, f"redis-benchmark: {got}")
        check(run(*cli, "get", "counter:__rand_int__").stdout == b"40000\n", "each counted once")
    common("kv", ask_kv, resp("PING")[:5], resp("PING")[5:], b"+PONG\r\n")
    bounds_slow_readers("kv", resp("ECHO", "x" * 50), 57, ask_kv)


{"echo": test_echo, "httpd": test_httpd, "kv": test_kv}[sys.argv[1]]()
print(f"{checks[0]} checks")
