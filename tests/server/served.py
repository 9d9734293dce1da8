"""`amika server` as a process of a script's own, and what asks it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time


class Server:
    """A server with data of its own."""

    def __init__(self, amika, work, port):
        self.amika = amika
        self.work = work
        self.port = port
        self.key = None
        self.child = None

    def start(self):
        """Starts it; milliseconds until its first answer."""
        begun = time.perf_counter()
        self.child = subprocess.Popen(
            [self.amika, "-o", "json", "server", "--listen", f"127.0.0.1:{self.port}", "--data", f"{self.work}/data"],
            stdout=subprocess.PIPE,
            stderr=open(f"{self.work}/log", "ab"),
        )
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                if self.child.poll() is not None:
                    sys.exit(open(f"{self.work}/log").read())
                time.sleep(0.002)
        took = (time.perf_counter() - begun) * 1000
        first = json.loads(self.child.stdout.readline())
        self.key = first.get("api_key", self.key)
        return took

    def stop(self):
        if self.child:
            self.child.send_signal(signal.SIGTERM)
            self.child.wait(60)

    def try_ask(self, method, path, body=None, timeout=180):
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, f"/api/v0beta1{path}", json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def ask(self, method, path, body=None, timeout=180):
        """What must be answered well."""
        status, answer = self.try_ask(method, path, body, timeout)
        if status >= 400:
            sys.exit(f"{method} {path}: {status} {str(answer)[:500]}")
        return answer

    def memory(self):
        """Resident MiB that are its own."""
        with open(f"/proc/{self.child.pid}/smaps_rollup", encoding="ascii") as rollup:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in rollup if line.startswith(("Pss", "Private"))}
        return (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024

    def processor(self):
        """Seconds of processor time so far."""
        with open(f"/proc/{self.child.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
