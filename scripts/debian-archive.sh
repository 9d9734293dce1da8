# Where Debian's archive is, and a tree from it. Sourced after lib.sh, never run.
# shellcheck shell=bash

# find_mirror SUITE: prints an archive that has it.
# Plain http first: the archive is signed, and a container needs no certificates for it, also where a
# network inspects TLS. Then what this machine itself installs from.
find_mirror() {
    local mirror candidates=()
    [[ -z ${AMIKA_DEBIAN_MIRROR:-} ]] || candidates+=("${AMIKA_DEBIAN_MIRROR%/}")
    candidates+=(http://deb.debian.org/debian)
    mapfile -t -O "${#candidates[@]}" candidates < <(
        grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
            sed 's, *$,,; s,/$,,' | sort -u)
    candidates+=(https://deb.debian.org/debian)
    for mirror in "${candidates[@]}"; do
        if reachable "$mirror/dists/$1/InRelease"; then
            printf '%s\n' "$mirror"
            return 0
        fi
    done
    return 1
}

# apt's own downloader: on every machine that has apt, and it goes through apt's proxy.
reachable() {
    local target status=0
    target=$(mktemp)
    timeout 30 /usr/lib/apt/apt-helper download-file "$1" "$target" >/dev/null 2>&1 || status=1
    rm -f "$target"
    return "$status"
}

# need_mmdebstrap: installs what makes a tree of Debian, where it is missing; false when it cannot be had.
need_mmdebstrap() {
    local missing=()
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    # Ubuntu does not trust Debian's archive until it has its keys.
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    ((${#missing[@]} == 0)) && return
    say "installing ${missing[*]} as root"
    apt_install "${missing[@]}"
}

# debian_tree SUITE TARGET MIRROR ARGUMENT…: a small Debian in TARGET; further sources and options as mmdebstrap has them.
debian_tree() {
    local suite=$1 target=$2 mirror=$3
    shift 3
    as_root mmdebstrap --quiet --variant=minbase \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt=force-unsafe-io \
        "$suite" "$target" "deb $mirror $suite main" "$@" >&2
}
