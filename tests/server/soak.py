"""Clients that make sandboxes, run a program in each and delete it again, for minutes: every answer must be right, nothing may be
left on the engine or in the store, and the server's memory must stay as it is.

Usage: soak.py AMIKA      CLIENTS and SECONDS change how much is done.
"""

import concurrent.futures
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from served import Server

AMIKA = os.path.abspath(sys.argv[1])
CLIENTS = int(os.environ.get("CLIENTS", "50"))
SECONDS = float(os.environ.get("SECONDS", "300"))
IMAGE = os.environ.get("IMAGE", "amika-test/debian")
PORT = int(os.environ.get("PORT", "18972"))
NAME = "amika-soak"
# What memory may grow by once every client was at work: what the allocator keeps differs by that from run to run.
GROWTH = 12


class Wrong(Exception):
    """An answer that is not the right one."""


def right(what, answer, status, holds=lambda body: True):
    if answer[0] != status or not holds(answer[1]):
        raise Wrong(f"{what}: {answer[0]} {str(answer[1])[:600]}")
    return answer[1]


def life(server, name):
    """A sandbox from its create to its end."""
    ask = lambda *call: server.try_ask(*call, timeout=700)
    body = {"name": name, "image": IMAGE, "env_vars": {"AMIKA_OPENCODE_WEB": "0", "WHO": name}}
    made = right("create", ask("POST", "/sandboxes?wait=600", body), 202, lambda it: it["state"] == "started")
    path = f"/sandboxes/{made['id']}"
    run = {"cmd": ["sh", "-c", "printf %s $WHO"]}
    right("exec", ask("POST", f"{path}/exec", run), 200, lambda it: (it["exit_code"], it["stdout"]) == (0, name))
    right("list", ask("GET", "/sandboxes"), 200, lambda it: any(one["id"] == made["id"] for one in it))
    taken = right("a second one of the name", ask("POST", "/sandboxes", body), 409)
    if taken["code"] != "conflict":
        raise Wrong(f"a second one of the name: {taken}")
    right("delete", ask("DELETE", f"{path}?force=true"), 200, lambda it: it["ok"] and it["kept_volumes"] == [])
    # Where the engine is slow the answer comes before the end.
    until = time.monotonic() + 120
    while ask("GET", path)[0] != 404:
        if time.monotonic() > until:
            raise Wrong(f"{name} is still there")
        time.sleep(0.2)


def client(server, number, end, counts):
    while time.monotonic() < end:
        life(server, f"{NAME}-{number}-{counts[number]}")
        counts[number] += 1


def left(server):
    """What is left on the engine and in the store."""
    docker = lambda *words: subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.split()
    names = docker("ps", "-a", "--format", "{{.Names}}", "--filter", f"name=^{NAME}-")
    names += docker("volume", "ls", "-q", "--filter", f"name={NAME}-")
    store = sqlite3.connect(f"file:{server.work}/data/amika.db?mode=ro", uri=True)
    for table, where in [("sandboxes", "1"), ("operations", "state = 'running'"), ("sandbox_services", "1")]:
        count = store.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
        names += [f"{count} of {table}"] * (count > 0)
    failed = store.execute("SELECT kind, error FROM operations WHERE state <> 'succeeded'").fetchall()
    store.close()
    return names + [f"{kind}: {error}" for kind, error in failed]


def main():
    os.environ["AMIKA_SERVER_RATES_PER_KEY"] = "0"
    os.environ["AMIKA_SERVER_RATES_PER_ADDRESS"] = "0"
    work = tempfile.mkdtemp()
    server = Server(AMIKA, work, PORT)
    counts = [0] * CLIENTS
    samples = []
    over = threading.Event()

    def measure():
        # From when every client has been through it once.
        while not over.wait(1):
            if min(counts) > 0:
                samples.append(server.memory())

    try:
        server.start()
        watch = threading.Thread(target=measure, daemon=True)
        watch.start()
        end = time.monotonic() + SECONDS
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            running = [pool.submit(client, server, number, end, counts) for number in range(CLIENTS)]
            wrong = [one.exception() for one in running if one.exception()]
        over.set()
        watch.join()
        # Everybody left: what is kept for those who were there goes.
        time.sleep(12)
        rest = left(server)
        print(f"{CLIENTS} clients, {SECONDS:.0f} s: {sum(counts)} sandboxes made, asked and deleted; {len(wrong)} wrong answers", flush=True)
        if samples:
            half = len(samples) // 2 or 1
            before, after = max(samples[:half]), server.memory()
            print(f"memory: {before:.1f} MiB at most in the first half, {after:.1f} MiB at the end", flush=True)
            if after > before + GROWTH:
                wrong.append(f"memory grew by {after - before:.1f} MiB")
        for what in [*wrong, *(f"left: {name}" for name in rest)]:
            print(what, flush=True)
        return 1 if wrong or rest else 0
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)


sys.exit(main())
