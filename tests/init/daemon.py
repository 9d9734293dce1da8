"""An amikad with its API, and a client that proves itself, for the figures."""

import hashlib
import hmac
import json
import os
import pathlib
import secrets
import subprocess

from inits import Init, Run, eventually

TOKEN = b"figures"
KEY = hashlib.sha256(TOKEN).digest()
PORT = 60999


class Daemon:
    """amikad as PID 1, with a CMD that waits."""

    def __init__(self, program, directory, cmd=("sleep", "999"), setup=None, core=None, env=None):
        self.run = Run(
            Init("amikad", [program, "run", "--user", "0", "--"]),
            cmd,
            directory,
            wrap=self.wrap(directory, setup, core),
            env={"AMIKA_TOKEN_SHA256": KEY.hex(), **(env or {})},
            # An engine always reads; setup would wait for whoever does not.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self.run.pid()

    @staticmethod
    def wrap(directory, setup, core):
        """What stands before amikad: its setup script in place, and the core that it may use."""
        words = []
        if setup:
            script = pathlib.Path(directory, "setup.sh")
            script.write_text(setup)
            script.chmod(0o755)
            place = "/usr/local/etc/amikad/setup"
            words += ["sh", "-c", f'mount -t tmpfs tmpfs /usr/local/etc && mkdir -p {place} && cp setup.sh {place}/ && exec "$@"', "sh"]
        if core is not None:
            words += ["taskset", "-c", str(core)]
        return words

    def inside(self, *argv):
        """A command in its network."""
        return ["nsenter", "--net", "-t", str(self.pid), *argv]

    def connect(self):
        """A connection to the API."""
        import socket

        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            os_setns(other)
            stream = socket.create_connection(("127.0.0.1", PORT), 10)
        finally:
            os_setns(own)
            os.close(own)
            os.close(other)
        return stream

    def ready(self, path="/livez"):
        """Waits for a probe to be answered with 200."""

        def look():
            with self.connect() as stream:
                stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                return stream.recv(64).startswith(b"HTTP/1.1 200")

        eventually(look)

    def prove(self):
        """A connection on which both sides proved themselves, and the header that says so."""
        stream = self.connect()
        nonce = secrets.token_bytes(16)
        stream.sendall(f"GET /v1/challenge?nonce={nonce.hex()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = json.loads(read_answer(stream))
        server = bytes.fromhex(answer["nonce"])
        proof = hmac.new(KEY, b"server" + nonce + server, hashlib.sha256).hexdigest()
        assert proof == answer["proof"], "amikad does not know the key"
        return stream, "Authorization: Amika " + hmac.new(KEY, b"client" + nonce + server, hashlib.sha256).hexdigest()

    def get(self, path):
        """Begins a GET with a proof; the stream, for who reads on."""
        stream, proof = self.prove()
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n".encode())
        return stream

    def memory(self, key="VmRSS"):
        """MiB of its memory: `VmRSS` now, `VmHWM` at most so far."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
        raise KeyError(key)

    def cpu(self):
        """Seconds of processor time that it took."""
        return cpu(self.pid)

    def wakeups(self):
        """How often its threads gave the processor up by themselves."""
        count = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            for line in pathlib.Path(f"/proc/{self.pid}/task/{task}/status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    count += int(line.split()[1])
        return count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run.process.kill()
        self.run.process.communicate()


def cpu(pid):
    """Seconds of processor time of a process."""
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def os_setns(descriptor):
    """setns(2), which Python has from 3.12 on."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


def read_answer(stream):
    """The body of an answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(4096)
        if not piece:
            raise OSError("the connection ended")
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    while len(body) < length:
        body += stream.recv(4096)
    return body


def requests_per_second(argv):
    """What wrk counted."""
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return float(next(line.split()[1] for line in out.splitlines() if line.startswith("Requests/sec")))
