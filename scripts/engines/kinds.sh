# The engines that Amika is tested on beside the one of this machine, each with the Debian that has it. Sourced, never run.
# shellcheck shell=bash

# Sourced after lib.sh. All that the engines need is below it: trees of Debian and the test images. Nothing else stays.
ENGINES_DIR=${AMIKA_ENGINES_DIR:-/var/lib/amika-engines}

# In the order in which they are run.
# shellcheck disable=SC2034  # used where this is sourced
ENGINES=(docker-26 podman-5 podman-4 docker-20 docker-userns docker-mounted docker-forwarded docker-ssh)

# engine_suite ENGINE: prints the Debian that has it; false for no engine of these.
engine_suite() {
    case $1 in
        # Docker 20.10.24 and Podman 4.3.1.
        docker-20 | docker-userns | docker-mounted | podman-4) echo bookworm ;;
        # Docker 26.1.5 and Podman 5.4.2.
        docker-26 | docker-forwarded | docker-ssh | podman-5) echo trixie ;;
        *) return 1 ;;
    esac
}

# engine_packages SUITE: prints what is installed in its tree.
engine_packages() {
    local packages=(docker.io podman crun netavark aardvark-dns iptables iproute2 ca-certificates)
    # Since trixie the client has a package of its own. The server is what forwards the socket.
    [[ $1 == bookworm ]] || packages+=(docker-cli nftables openssh-server)
    local IFS=,
    echo "${packages[*]}"
}

# engine_tree SUITE: prints where its tree is, whether or not it is there. Another recipe is another tree.
engine_tree() {
    local recipe
    recipe=$(engine_packages "$1" | sha256sum | cut -c1-12)
    echo "$ENGINES_DIR/$1-$recipe"
}
