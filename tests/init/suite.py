"""What an init must do, as cases that any of them can be given: each returns whether it held."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from inits import Run, eventually, number

CASES = []


def case(what):
    """Adds a case, by what must hold."""

    def add(function):
        CASES.append((what, function))
        return function

    return add


def sh(init, script, directory, **options):
    """Runs a shell script as CMD, to its end."""
    return Run(init, ["sh", "-c", script], directory, **options).end()


@case("the exit code of CMD is the container's")
def exit_codes(init, directory):
    return all(sh(init, f"exit {code}", directory)[0] == code for code in (0, 1, 7, 125, 255))


@case("a CMD that a signal ended gives 128 and its number")
def exit_by_signal(init, directory):
    return all(sh(init, f"kill -{n} $$", directory)[0] == 128 + n for n in (1, 9, 15, 40))


@case("a CMD that dumped core gives 128 and its number")
def exit_by_core(init, directory):
    return sh(init, "kill -ABRT $$", directory)[0] == 128 + signal.SIGABRT


@case("a CMD that is not there is 127, one that cannot be executed 126")
def cannot_start(init, directory):
    plain = pathlib.Path(directory, "plain")
    plain.write_text("#!/bin/sh\n")
    missing = Run(init, ["/nope/nothing"], directory).end()
    refused = Run(init, [str(plain)], directory).end()
    return (missing[0], refused[0]) == (127, 126)


@case("a CMD that cannot be started is named in the error")
def cannot_start_named(init, directory):
    return "/nope/nothing" in Run(init, ["/nope/nothing"], directory).end()[2]


@case("arguments arrive byte for byte")
def arguments(init, directory):
    words = ["", " a  b ", "--", "-h", "\n", "é", "$HOME"]
    out = Run(init, ["printf", "<%s>", *words], directory).end()[1]
    return out == "".join(f"<{word}>" for word in words)


@case("standard input reaches CMD, and its end")
def standard_input(init, directory):
    run = Run(init, ["cat"], directory, stdin=subprocess.PIPE)
    out, _ = run.process.communicate(b"words\n", timeout=10)
    return out == b"words\n" and run.process.returncode == 0


FORWARDED = ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "ALRM", "WINCH", "CONT", "PIPE", "VTALRM", "PROF", "IO", "PWR"]


@case("each signal that can be caught is passed on to CMD")
def forwards(init, directory):
    for name in FORWARDED:
        with tempfile.TemporaryDirectory(dir=directory) as place:
            script = f"trap 'exit 42' {name}; : >ready; while :; do sleep 0.02; done"
            run = Run(init, ["sh", "-c", script], place)
            run.ready()
            run.signal(number(name))
            if run.end()[0] != 42:
                return False
    return True


@case("realtime signals are passed on to CMD")
def forwards_realtime(init, directory):
    for offset in (1, 3, 20):
        with tempfile.TemporaryDirectory(dir=directory) as place:
            script = (
                "import os,signal,sys,time\n"
                f"signal.signal(signal.SIGRTMIN+{offset}, lambda *_: os._exit(42))\n"
                "open('ready','w')\ntime.sleep(30)\n"
            )
            run = Run(init, [sys.executable, "-c", script], place)
            run.ready()
            run.signal(signal.SIGRTMIN + offset)
            if run.end()[0] != 42:
                return False
    return True


@case("TERM that CMD does not catch ends it: 143")
def term(init, directory):
    run = Run(init, ["sh", "-c", ": >ready; exec sleep 30"], directory)
    run.ready()
    run.signal(signal.SIGTERM)
    return run.end()[0] == 143


@case("TERM sent at any moment of the start ends it (40 tries)")
def term_at_start(init, directory):
    for attempt in range(40):
        run = Run(init, ["sleep", "30"], directory)
        pid = run.pid()
        # From when the init's own program is there: the shell before it ignores TERM, as any PID 1 without handler.
        name = os.path.basename(init.argv[0])
        try:
            eventually(lambda: os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith(name), 5)
            # Until its handlers or masks stand the kernel drops the signal, for every init alike.
            eventually(lambda: handles(pid, signal.SIGTERM), 5)
        except TimeoutError:
            pass
        delay = attempt * 0.0002
        deadline = time.monotonic() + delay
        while time.monotonic() < deadline:
            pass
        os.kill(pid, signal.SIGTERM)
        if run.end(5)[0] != 143:
            return False
    return True


def handles(pid, number_):
    """Whether a process catches, blocks or waits for a signal."""
    bit = 1 << (number_ - 1)
    fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return any(int(fields[key], 16) & bit for key in ("SigCgt", "SigBlk"))


@case("orphans are reaped while CMD runs (1,000 at once)")
def reaps(init, directory):
    script = (
        "import os,time\n"
        "for _ in range(1000):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "end = time.monotonic() + 5\n"
        "def zombies(): return [p for p in os.listdir('/proc') if p.isdigit() and state(p) == 'Z']\n"
        "def state(p):\n"
        "    try: return open(f'/proc/{p}/stat').read().rsplit(')', 1)[1].split()[0]\n"
        "    except OSError: return '-'\n"
        "while zombies() and time.monotonic() < end: time.sleep(0.01)\n"
        "os._exit(3 if zombies() else 0)\n"
    )
    return Run(init, [sys.executable, "-c", script], directory).end(30)[0] == 0


@case("the exit code is right amid a storm of orphans")
def code_in_storm(init, directory):
    script = "for i in $(seq 200); do (sleep 0.0$i &) ; done; exit 9"
    return all(sh(init, script, directory)[0] == 9 for _ in range(5))


@case("a zombie whose parent lives is left to its parent")
def leaves_zombies(init, directory):
    script = (
        "import os,sys,time\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(5)\n"
        "time.sleep(0.3)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    return Run(init, [sys.executable, "-c", script], directory).end()[0] == 5


@case("a CMD that is stopped has not ended")
def stopped(init, directory):
    script = "(sleep 0.3; kill -CONT $$) & kill -STOP $$; exit 6"
    return sh(init, script, directory)[0] == 6


@case("CMD has the signal mask and dispositions that the init was given")
def dispositions(init, directory):
    want = status_of(["sh", "-c", "exec cat /proc/self/status"])
    out = Run(init, ["cat", "/proc/self/status"], directory).end()[1]
    have = fields(out)
    return all(have[key] == want[key] for key in ("SigBlk", "SigIgn"))


def status_of(argv):
    """The status that a program has without an init."""
    return fields(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def fields(text):
    """Lines `Key:<tab>value`."""
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@case("a signal that is ignored, as by nohup, is ignored in CMD too")
def ignored(init, directory):
    wrap = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    out = Run(init, ["cat", "/proc/self/status"], directory, wrap=wrap).end()[1]
    return int(fields(out)["SigIgn"], 16) & 1 == 1


@case("CMD ends rightly though SIGCHLD was ignored where the init was started")
def chld_ignored(init, directory):
    wrap = [sys.executable, "-c", "import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"]
    return sh(init, "exit 8", directory, wrap=wrap)[0] == 8


@case("CMD ends rightly though all signals were blocked where the init was started")
def all_blocked(init, directory):
    program = "import os,signal,sys; signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals()); os.execvp(sys.argv[1], sys.argv[1:])"
    return sh(init, "exit 8", directory, wrap=[sys.executable, "-c", program])[0] == 8


@case("no file of the init's is open in CMD")
def descriptors(init, directory):
    out = Run(init, ["ls", "/proc/self/fd"], directory).end()[1]
    return out.split() == ["0", "1", "2", "3"]


@case("a descriptor that the init was given is CMD's too")
def inherited(init, directory):
    wrap = ["sh", "-c", 'exec 7</dev/null; exec "$@"', "sh"]
    out = Run(init, ["ls", "/proc/self/fd"], directory, wrap=wrap).end()[1]
    return "7" in out.split()


@case("closed standard streams do no harm")
def closed_streams(init, directory):
    wrap = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    return sh(init, "exit 4", directory, wrap=wrap)[0] == 4


@case("output to a pipe that nobody reads any more ends CMD, not the init (141)")
def broken_pipe(init, directory):
    run = Run(init, ["sh", "-c", ": >ready; while :; do echo x || exit; done"], directory)
    run.process.stdout.close()
    run.process.stdout = None
    _, code = run.process.stderr.read(), run.process.wait(10)
    return code == 141


@case("directory, umask and nice value of CMD are those that the init was given")
def surroundings(init, directory):
    wrap = ["sh", "-c", 'umask 027; exec nice -n 5 "$@"', "sh"]
    out = sh(init, "pwd; umask; nice", directory, wrap=wrap)[1]
    return out.split() == [os.path.realpath(directory), "0027", "5"]


@case("no privilege is needed: no capabilities, no-new-privileges")
def no_rights(init, directory):
    wrap = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    return sh(init, "exit 3", directory, wrap=wrap)[0] == 3


@case("without CAP_KILL the end of CMD is the end of the container")
def no_cap_kill(init, directory):
    wrap = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill", "--"]
    script = "setsid setpriv --reuid 65534 --clear-groups sleep 30 >/dev/null 2>&1 & sleep 0.2; exit 3"
    return sh(init, script, directory, wrap=wrap)[0] == 3


@case("as no PID 1 it ends with CMD's code")
def no_pid_1(init, directory):
    wrap = ["sh", "-c", '"$@"; exit $?', "sh"]
    return sh(init, "exit 5", directory, wrap=wrap)[0] == 5


@case("a background child does not hold up the end")
def background(init, directory):
    return sh(init, "sleep 30 >/dev/null 2>&1 & exit 2", directory)[0] == 2


@case("what CMD left is told to end, and has time for it")
def leftovers(init, directory):
    script = "setsid sh -c 'trap \": >told; exit\" TERM; : >up; while :; do sleep 0.02; done' >/dev/null 2>&1 & while [ ! -e up ]; do sleep 0.02; done; exit 0"
    sh(init, script, directory)
    return pathlib.Path(directory, "told").exists()


@case("TERM reaches the children of a shell that is CMD, and they have time for it")
def group(init, directory):
    script = "sh -c 'trap \": >told; exit\" TERM; : >ready; while :; do sleep 0.02; done' & wait"
    run = Run(init, ["sh", "-c", script], directory)
    run.ready()
    run.signal(signal.SIGTERM)
    run.end()
    return pathlib.Path(directory, "told").exists()


@case("a process that ignores TERM does not hold up the end of CMD")
def deaf(init, directory):
    script = "setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' >/dev/null 2>&1 & sleep 0.1; exit 2"
    return sh(init, script, directory)[0] == 2


@case("with a terminal, CMD has it: job control, its foreground, Ctrl-C")
def terminal(init, directory):
    words = ["sh", "-c", "trap 'echo caught; exit 9' INT; ps -o stat= -p $$; : >ready; while :; do sleep 0.05; done"]
    program = (
        "import os,pty,sys,time\n"
        "pid, master = pty.fork()\n"
        "if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])\n"
        "end = time.monotonic() + 5\n"
        "while not os.path.exists('ready') and time.monotonic() < end: time.sleep(0.02)\n"
        "os.write(master, b'\\x03')\n"
        "data = b''\n"
        "try:\n"
        "    while True:\n"
        "        piece = os.read(master, 4096)\n"
        "        if not piece: break\n"
        "        data += piece\n"
        "except OSError: pass\n"
        "status = os.waitpid(pid, 0)[1]\n"
        "print(data.decode(), os.waitstatus_to_exitcode(status))\n"
    )
    # The init is PID 2 there, as the program that holds the other side of the terminal has to be somewhere.
    run = Run(init, words, directory, wrap=[sys.executable, "-c", program])
    out = run.end()[1]
    return "caught" in out and out.rstrip().endswith("9") and "+" in out


@case("ten thousand variables and a long argument arrive")
def large(init, directory):
    env = {f"V{i}": "x" * 20 for i in range(10_000)}
    out = Run(init, ["sh", "-c", 'echo ${#1} $(env | grep -c ^V)', "sh", "y" * 100_000], directory, env=env).end()[1]
    return out.split() == ["100000", "10000"]


@case("a start that finds no process number free says so and fails")
def no_fork(init, directory):
    # As a user that is at its limit; root is not limited.
    wrap = ["setpriv", "--reuid", "65533", "--clear-groups", "prlimit", "--nproc=1:1", "--"]
    run = Run(init, ["sleep", "0"], directory, wrap=wrap)
    code, _, err = run.end()
    return code not in (None, 0) and err.strip() != ""


@case("two TERM in a row are two for CMD")
def twice(init, directory):
    script = "n=0; trap 'n=$((n+1)); : >got$n' TERM; : >ready; while [ $n -lt 2 ]; do sleep 0.02; done; exit 2"
    run = Run(init, ["sh", "-c", script], directory)
    run.ready()
    run.signal(signal.SIGTERM)
    run.ready("got1")
    run.signal(signal.SIGTERM)
    return run.end()[0] == 2


@case("signals arrive amid a storm of orphans")
def signal_in_storm(init, directory):
    script = (
        "import os,signal,time\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(42))\n"
        "open('ready','w')\n"
        "while True:\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    run = Run(init, [sys.executable, "-c", script], directory)
    run.ready()
    run.signal(signal.SIGTERM)
    return run.end()[0] == 42
