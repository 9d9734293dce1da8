"""Measures amikad as an init and a daemon, beside the best of each, in one run.

Usage: figures.py AMIKAD PROBE [FIGURE…]     (scripts/bench-init builds PROBE)
Nothing fails here for being slow: a figure is for a person to judge, on a machine that is otherwise idle.
"""

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from daemon import Daemon, cpu, requests_per_second
from inits import Init, Run, eventually

AMIKAD, PROBE = sys.argv[1:3]
TINI = Init("tini", ["/usr/bin/tini-static", "-s", "--"])
OURS = Init("amikad", [AMIKAD, "run", "--user", "0", "--"])


def row(what, ours, baseline, reach, unit, digits=2):
    """One line of the table: `baseline` may be None."""
    ratio = "" if baseline is None else f"{ours / baseline:.2f}x"
    shown = "" if baseline is None else f"{baseline:.{digits}f} {unit}"
    print(f"{what:<66} {ours:>12.{digits}f} {unit:<6} {shown:>16} {ratio:>8}  {reach}", flush=True)


def directory():
    """A directory that goes at the end."""
    return tempfile.TemporaryDirectory(prefix="amika-init-")


def start_up():
    """Spawn to CMD's first instruction, in turns."""
    script = (
        "for round in $(seq 10); do "
        f"{PROBE} spawn 20 {' '.join(TINI.argv)} {PROBE} since >>tini; "
        f"{PROBE} spawn 20 {' '.join(OURS.argv)} {PROBE} since 2>/dev/null >>ours; done"
    )
    with directory() as place:
        code, _, err = Run(Init("none", ["sh", "-c", script, "sh"]), [], place).end(120)
        assert code == 0, err
        ours, tini = (statistics.median(map(int, pathlib.Path(place, name).read_text().split())) for name in ("ours", "tini"))
    row("spawn to CMD's first instruction, beside tini", ours / 1000, tini / 1000, "at most 1 ms more", "ms")


def probes():
    """Probes a second on one core beside nginx that answers two bytes."""
    with directory() as place, Daemon(AMIKAD, place, core=0) as daemon:
        daemon.ready()
        configuration = pathlib.Path(place, "nginx.conf")
        pathlib.Path(place, "www").mkdir()
        pathlib.Path(place, "www/two").write_text("ok")
        os.chmod(place, 0o755)
        configuration.write_text(
            f"user root; worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error;\n"
            "events { worker_connections 1024; }\n"
            f"http {{ access_log off; server {{ listen 127.0.0.1:8080; root {place}/www; }} }}\n"
        )
        nginx = subprocess.Popen(daemon.inside("taskset", "-c", "0", "nginx", "-c", str(configuration)))
        try:
            wrk = ["taskset", "-c", "1", "wrk", "-t1", "-c32", "-d3s"]
            ours, theirs = [], []
            time.sleep(0.5)
            for _ in range(5):
                ours.append(requests_per_second(daemon.inside(*wrk, "http://127.0.0.1:60999/livez")))
                theirs.append(requests_per_second(daemon.inside(*wrk, "http://127.0.0.1:8080/two")))
        finally:
            nginx.terminate()
            nginx.wait()
    row("probes a second on one core, beside nginx", statistics.median(ours), statistics.median(theirs), "at least 0.8x", "1/s", 0)


def memory():
    """As PID 1: idle; after 10,000 requests with followers; under half-open connections."""
    with directory() as place, Daemon(AMIKAD, place) as daemon:
        daemon.ready()
        time.sleep(1)
        row("memory, idle as PID 1", daemon.memory(), None, "at most 2 MiB", "MiB")
        followers = [daemon.get(path) for path in FEATURES]
        wrk = daemon.inside("wrk", "-t1", "-c32", "-d2s", "http://127.0.0.1:60999/livez")
        assert requests_per_second(wrk) * 2 > 10_000
        time.sleep(1)
        row("memory, all features on and 10,000 requests later", daemon.memory(), None, "at most 3 MiB", "MiB")
        del followers
    with directory() as place, Daemon(AMIKAD, place) as daemon:
        daemon.ready()
        held = []
        for _ in range(3000):
            stream = daemon.connect()
            stream.sendall(b"GET /livez HTTP/1.1\r\nHost: loc")
            held.append(stream)
        time.sleep(1)
        row("memory, 3,000 half-open connections", daemon.memory("VmHWM"), None, "at most 8 MiB", "MiB")


# What is switched on by asking for it.
FEATURES = ["/v1/events", "/v1/logs/amikad?follow=1"]


def followers():
    """100 followers of 1 GiB of setup's log, of which half never read."""
    setup = f"#!/bin/sh\nwhile [ ! -e /run/go ]; do sleep 0.05; done\nexec {PROBE} spill 1024\n"
    with directory() as place, Daemon(AMIKAD, place, setup=setup) as daemon:
        daemon.ready()
        streams = [daemon.get("/v1/logs/setup?follow=1") for _ in range(100)]
        readers = [threading.Thread(target=drain, args=(stream,), daemon=True) for stream in streams[::2]]
        for reader in readers:
            reader.start()
        subprocess.run(["nsenter", "--mount", "-t", str(daemon.pid), "touch", "/run/go"], check=True)
        eventually(lambda: probe(daemon, "/readyz"), 300)
        row("memory, 100 followers of 1 GiB of which half never read", daemon.memory("VmHWM"), None, "at most 12 MiB", "MiB")


def drain(stream):
    """Reads until nothing comes."""
    try:
        stream.settimeout(120)
        while stream.recv(1 << 16):
            pass
    except OSError:
        pass


def probe(daemon, path):
    """Whether a probe is answered with 200."""
    with daemon.connect() as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return stream.recv(64).startswith(b"HTTP/1.1 200")


def binary():
    """Size of the program."""
    row("program", os.path.getsize(AMIKAD) / 1048576, None, "at most 2.5 MiB", "MiB")


def orphans():
    """10,000 double-forked orphans: how long any is left, and the processor time of the init."""
    took, left = {}, {}
    for init in (TINI, OURS) * 3:
        with directory() as place:
            run = Run(init, [PROBE, "orphans", "10000"], place)
            pid = run.pid()
            eventually((run.directory / "done").exists, 120)
            begun = time.monotonic()
            eventually(lambda: not zombies_of(pid), 10)
            left.setdefault(init.name, []).append(time.monotonic() - begun)
            took.setdefault(init.name, []).append(cpu(pid))
            run.process.kill()
            run.process.communicate()
    ours, theirs = (statistics.median(took[init.name]) for init in (OURS, TINI))
    row("10,000 orphans: processor time, beside tini", ours * 1000, theirs * 1000, "at most 1.5x", "ms", 0)
    row("10,000 orphans: none left after", max(left["amikad"]), None, "at most 2 s", "s")


def zombies_of(pid):
    """Numbers of dead children that the init has not taken."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            try:
                if pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                    found.append(child)
            except OSError:
                pass
    return found


def wakeups():
    """Wake-ups a second with all features on and nothing going on."""
    with directory() as place, Daemon(AMIKAD, place) as daemon:
        daemon.ready()
        held = [daemon.get(path) for path in FEATURES]
        time.sleep(2)
        before, used = daemon.wakeups(), daemon.cpu()
        time.sleep(30)
        row("wake-ups a second, all features on, idle", (daemon.wakeups() - before) / 30, None, "at most 1", "1/s")
        row("the same: share of a core", (daemon.cpu() - used) / 30 * 100, None, "under 0.1 %", "%", 3)
        del held


# Sixty servers and as many programs that do nothing, in a CMD of its own.
LISTENERS = (
    "import os, socket, time\n"
    "held = [socket.create_server(('127.0.0.1', port)) for port in range(8000, 8060)]\n"
    "for _ in range(200):\n"
    "    if os.fork() == 0: time.sleep(9999)\n"
    "time.sleep(9999)\n"
)


def watching():
    """Processor time while somebody follows what listens and nothing changes, with 60 servers and 200 processes."""
    with directory() as place, Daemon(AMIKAD, place, cmd=(sys.executable, "-c", LISTENERS)) as daemon:
        daemon.ready()
        held = [daemon.get("/v1/ports?follow=1") for _ in range(5)]
        time.sleep(3)
        used = daemon.cpu()
        time.sleep(60)
        row("watching 60 ports that do not change: share of a core", (daemon.cpu() - used) / 60 * 100, None, "under 0.1 %", "%", 3)
        del held


def attacked():
    """Probes while 10,000 connections come and stay, some drip, others ask for challenges without an end."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with directory() as place, Daemon(AMIKAD, place) as daemon:
        daemon.ready()
        over = threading.Event()
        attacks = [idle_connections, dripping, challenges]
        threads = [threading.Thread(target=attack, args=(daemon, over), daemon=True) for attack in attacks]
        for thread in threads:
            thread.start()
        took = []
        end = time.monotonic() + 20
        while time.monotonic() < end:
            begun = time.monotonic()
            assert probe(daemon, "/livez"), "a probe was not answered"
            took.append((time.monotonic() - begun) * 1000)
            time.sleep(0.02)
        over.set()
        for thread in threads:
            thread.join()
        took.sort()
        row("a probe under attack: p99 of " + str(len(took)), took[-1 - len(took) // 100], None, "under 50 ms", "ms")


def idle_connections(daemon, over):
    """Ten thousand at once, as far as the daemon lets them, and anew when they are thrown out."""
    held = []
    while not over.is_set():
        try:
            held.append(daemon.connect())
        except OSError:
            time.sleep(0.01)
        if len(held) == 10_000:
            del held[:5_000]


def dripping(daemon, over):
    """Heads that come byte by byte."""
    streams = []
    while not over.is_set():
        if len(streams) < 200:
            streams.append(daemon.connect())
        for stream in list(streams):
            try:
                stream.send(b"G")
            except OSError:
                streams.remove(stream)
        time.sleep(0.05)


def challenges(daemon, over):
    """Questions that cost the daemon a little each, pipelined."""
    ask = b"GET /v1/challenge?nonce=" + b"5a" * 16 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    while not over.is_set():
        try:
            with daemon.connect() as stream:
                for _ in range(50):
                    stream.sendall(ask * 20)
                    stream.recv(1 << 16)
        except OSError:
            pass


def main():
    """Prints the figures that were asked for, or all."""
    figures = [binary, start_up, probes, attacked, memory, followers, orphans, wakeups, watching]
    only = sys.argv[3:]
    print(f"{'FIGURE':<66} {'OURS':>19} {'BASELINE':>16} {'RATIO':>8}  REACH")
    for figure in figures:
        if not only or figure.__name__ in only:
            figure()


main()
