"""Starts an init program as PID 1 of namespaces of its own, and asks what it did.

Each run has a private /run, /var/lib/amikad and /var/log/amikad and a network of its own, the same for every
init: amikad keeps files and a port, which two runs at once must not share.
"""

import os
import pathlib
import signal
import subprocess
import time

# Longer than any of them needs, so that what is over it hangs.
PATIENCE = 10

# Becomes the init. $1 is a directory that the test sees too.
INNER = r"""
set -e
mount --make-rprivate /
for place in /run /var/lib /var/log /home; do mount -t tmpfs -o mode=755 tmpfs "$place"; done
mount -t proc proc /proc
ip link set lo up
cd "$1"; shift
unset OLDPWD
exec "$@"
"""


class Init:
    """One of the programs, with the arguments that stand before CMD."""

    def __init__(self, name, argv, is_ours=False):
        self.name, self.argv, self.is_ours = name, argv, is_ours


class Run:
    """An init that runs, or ran."""

    def __init__(self, init, cmd, directory, wrap=(), env=None, stdin=subprocess.DEVNULL, **options):
        words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--", "sh", "-c", INNER, "sh"]
        words += [str(directory), *wrap, *init.argv, *cmd]
        environment = {"PATH": os.environ["PATH"], "AMIKA_OPENCODE_WEB": "0", **(env or {})}
        self.directory = pathlib.Path(directory)
        streams = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        self.process = subprocess.Popen(words, env=environment, **streams)

    def pid(self):
        """The init's number outside; it is the only child of `unshare`."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        found = eventually(lambda: pathlib.Path(children).read_text().split())
        return int(found[0])

    def signal(self, number):
        """Sends the init a signal, as an engine does."""
        os.kill(self.pid(), number)

    def ready(self, name="ready"):
        """Waits for CMD to have made a file of that name."""
        eventually(lambda: (self.directory / name).exists())

    def end(self, patience=PATIENCE):
        """Exit code (None when it hangs), stdout and stderr."""
        try:
            out, err = self.process.communicate(timeout=patience)
            return self.process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            return None, out.decode(errors="replace"), err.decode(errors="replace")


def eventually(look, patience=PATIENCE):
    """What a look finds, once it finds something."""
    deadline = time.monotonic() + patience
    while True:
        try:
            found = look()
            if found:
                return found
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("it never came true")
        time.sleep(0.005)


def number(name):
    """A signal's number by its name without SIG."""
    return getattr(signal, f"SIG{name}")
