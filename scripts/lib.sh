# What the scripts share: messages, root rights, package installation. Sourced, never run.
# shellcheck shell=bash

# Everything a person reads goes to stderr; stdout is for answers other programs read.
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
if [[ ! -t 2 || -n ${NO_COLOR:-} ]]; then
    say() { printf '==> %s\n' "$*" >&2; }
fi

# fail CODE MESSAGE [HINT]: the exit codes are those of `amika` (5: no engine, 6: no image).
fail() {
    printf 'error: %s\n' "$2" >&2
    [[ -z ${3:-} ]] || printf 'hint: %s\n' "$3" >&2
    exit "$1"
}

# as_root COMMAND…: runs it as root; with sudo when the caller is not. Callers say beforehand what for.
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        fail 1 "root is needed for: $*" "run it as root, or install sudo"
    elif [[ -t 0 ]]; then
        sudo -- "$@"
    else
        # Without a terminal nobody can type a password: fail instead of waiting for one.
        sudo -n -- "$@"
    fi
}

# apt_install PACKAGE…: on Debian and Ubuntu; waits for another apt instead of failing.
apt_install() {
    command -v apt-get >/dev/null || return 1
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
    # One third-party source out of reach must not stop packages that the others have.
    as_root "${apt[@]}" update >&2 || say "apt-get update had errors; going on with what is known"
    as_root "${apt[@]}" install -y --no-install-recommends "$@" >&2
}

# with_deadline SECONDS COMMAND…: tries until it succeeds; false when the time is over.
with_deadline() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# What `make demo` leaves running: data, log and process id of a server.
DEMO_SERVER=${XDG_RUNTIME_DIR:-/tmp}/amika-demo-server-$UID

# Ends that server. The number in the file may be some other program by now.
end_demo_server() {
    local pid
    pid=$(cat "$DEMO_SERVER/pid" 2>/dev/null) || return 0
    if [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == "$DEMO_SERVER/amika"* ]]; then
        kill "$pid"
        with_deadline 20 test ! -e "/proc/$pid" || say "the server of the demo, process $pid, does not end"
    fi
}
