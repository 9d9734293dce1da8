"""What `amika server` is held to, measured on this machine: a line each, with what it has to reach.

Usage: figures.py AMIKA      COUNT, CLIENTS and ROUNDS change how much is done.
"""

import concurrent.futures
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from served import Server

AMIKA = os.path.abspath(sys.argv[1])
COUNT = int(os.environ.get("COUNT", "200"))
CLIENTS = int(os.environ.get("CLIENTS", "50"))
ROUNDS = int(os.environ.get("ROUNDS", "7"))
IMAGE = os.environ.get("IMAGE", "amika-test/debian")
PORT = int(os.environ.get("PORT", "18970"))
NAME = "amika-bench-server"
OFF = {"AMIKA_OPENCODE_WEB": "0"}


def wrk(server, path, clients, seconds=8):
    """Requests a second, and the 99th percentile in milliseconds."""
    run = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-H", f"Authorization: Bearer {server.key}",
         f"http://127.0.0.1:{server.port}/api/v0beta1{path}"],
        capture_output=True, text=True, check=True,
    )
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", run.stdout)
    if wrong:
        sys.exit(f"{path}: {run.stdout}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", run.stdout).groups()
    return rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def line(what, value, reach):
    print(f"{what:<66}{value:<28}reach: {reach}", flush=True)


def start(server):
    times = []
    for _ in range(ROUNDS):
        server.stop()
        times.append(server.start())
    line("start to first answer", f"{statistics.median(times):.0f} ms", "500 ms")
    time.sleep(3)
    line("memory, idle", f"{server.memory():.1f} MiB", "40 MiB")


def create(server):
    """One beside the other, so that a slow moment of the machine is both sides' moment."""
    ours, theirs = [], []
    for turn in range(ROUNDS):
        name = f"{NAME}-c{turn}"
        begun = time.perf_counter()
        made = server.ask("POST", "/sandboxes?wait=120", {"name": name, "image": IMAGE, "env_vars": OFF})
        ours.append(time.perf_counter() - begun)
        if made["state"] != "started":
            sys.exit(f"not started: {made}")
        server.ask("DELETE", f"/sandboxes/{name}?force=true")
        begun = time.perf_counter()
        flags = ["--image", IMAGE, "--env", "AMIKA_OPENCODE_WEB=0", "--no-credentials"]
        subprocess.run([AMIKA, "sandbox", "create", "-q", "--local", "--name", f"{name}-l", *flags], check=True, stdout=subprocess.DEVNULL)
        theirs.append(time.perf_counter() - begun)
        subprocess.run([AMIKA, "rm", "--local", "--force", "--volumes", f"{name}-l"], check=True, capture_output=True)
    a, b = statistics.median(ours), statistics.median(theirs)
    line("POST ?wait to ready against the command line's create", f"{a / b:.2f}x ({a * 1000:.0f}, {b * 1000:.0f} ms)", "1.1x")


def lists(server):
    def make(number):
        body = {"name": f"{NAME}-{number}", "image": IMAGE, "env_vars": OFF}
        made = server.ask("POST", "/sandboxes?wait=300", body, 400)
        if made["state"] != "started":
            sys.exit(f"not started: {made}")

    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(COUNT)))
    print(f"{COUNT} sandboxes, 8 at a time: {time.perf_counter() - begun:.0f} s", flush=True)
    # The engine's first health checks are over by then.
    time.sleep(35)
    streams = []
    for _ in range(CLIENTS):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/api/v0beta1/events", headers={"Authorization": f"Bearer {server.key}"})
        streams.append((connection, connection.getresponse()))
    _, p99 = wrk(server, "/sandboxes", CLIENTS)
    line(f"GET /sandboxes with {COUNT}, {CLIENTS} clients: 99th percentile", f"{p99:.1f} ms", "50 ms")
    before = server.processor()
    begun = time.perf_counter()
    rate, _ = wrk(server, f"/sandboxes/{NAME}-0", CLIENTS)
    took = server.processor() - before
    per_core = rate * (time.perf_counter() - begun) / took
    line("GET /sandboxes/{ref} a second of processor time", f"{per_core:.0f} ({rate:.0f} a second)", "2000")
    line(f"memory, {COUNT} sandboxes listed and {CLIENTS} event streams", f"{server.memory():.1f} MiB", "80 MiB")
    for connection, _ in streams:
        connection.close()


def told(server):
    """How long after the engine ended a sandbox by somebody else's command its event is there."""
    times = []
    for turn in range(ROUNDS):
        name = f"{NAME}-t{turn}"
        server.ask("POST", "/sandboxes?wait=120", {"name": name, "image": IMAGE, "env_vars": OFF})
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/api/v0beta1/events", headers={"Authorization": f"Bearer {server.key}"})
        events = connection.getresponse()
        events.readline()
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)
        begun = time.perf_counter()
        for event in events:
            if event.startswith(b"data:") and b'"stopped"' in event:
                break
        times.append(time.perf_counter() - begun)
        connection.close()
        server.ask("DELETE", f"/sandboxes/{name}?force=true")
    line("event of what `docker kill` ended", f"{statistics.median(times) * 1000:.0f} ms", "2000 ms")


def clean(server):
    names = subprocess.run(
        ["docker", "ps", "-a", "--format", "{{.Names}}", "--filter", f"name=^{NAME}-"], capture_output=True, text=True, check=True
    ).stdout.split()
    server.stop()
    if names:
        subprocess.run([AMIKA, "rm", "--local", "--force", "--volumes", *names], check=False, capture_output=True)


def main():
    work = tempfile.mkdtemp()
    server = Server(AMIKA, work, PORT)
    # Limits are for strangers: this asks as much as it can.
    os.environ["AMIKA_SERVER_RATES_PER_KEY"] = "0"
    os.environ["AMIKA_SERVER_RATES_PER_ADDRESS"] = "0"
    try:
        server.start()
        start(server)
        create(server)
        told(server)
        lists(server)
    finally:
        clean(server)
        shutil.rmtree(work, ignore_errors=True)


main()
