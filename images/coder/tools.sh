#!/bin/sh
# Fetches Node and the agents into /opt/tools, one copy of each program, and proves that they run.
# Runs in the build stage `tools` only: what it needs for that (Debian's npm, certificates) is thrown away.
set -eu

modules=/opt/tools/lib/node_modules
bin=/opt/tools/bin
bundle=/tmp/ca-certificates.crt

case $(dpkg --print-architecture) in
    amd64)
        arch=x64 target=x86_64-unknown-linux-musl
        # Runs on every x86-64 processor; the other twin may want AVX2 (in 1.18.33 the two are the same bytes).
        opencode="opencode-linux-x64-baseline"
        ;;
    arm64)
        arch=arm64 target=aarch64-unknown-linux-musl
        opencode="opencode-linux-arm64"
        ;;
    *)
        echo "the agents exist for amd64 and arm64, not for $(dpkg --print-architecture)" >&2
        exit 1
        ;;
esac

# On a network that inspects TLS the CLI puts the host's bundle here; else the file is empty.
if [ -s "$bundle" ]; then
    export NODE_EXTRA_CA_CERTS="$bundle" SSL_CERT_FILE="$bundle"
fi

export DEBIAN_FRONTEND=noninteractive
echo "amika: fetching a bootstrap npm from Debian"
apt-get -qq update
apt-get -qq install -y --no-install-recommends binutils npm >/dev/null

# install PREFIX PACKAGE@VERSION…: no lifecycle scripts: they would link or copy a second binary.
install() {
    prefix=$1
    shift
    npm install --global --prefix "$prefix" --ignore-scripts --omit=optional \
        --no-audit --no-fund --no-update-notifier --loglevel=error "$@"
}

echo "amika: fetching Node $NODE_VERSION"
install /opt/bootstrap "node-linux-$arch@$NODE_VERSION"
mkdir -p "$bin"
mv "/opt/bootstrap/lib/node_modules/node-linux-$arch/bin/node" "$bin/node"
strip "$bin/node"
PATH=$bin:$PATH

echo "amika: fetching npm, pnpm, TypeScript, Claude Code, Codex and OpenCode"
install /opt/tools \
    "npm@$NPM_VERSION" \
    "pnpm@$PNPM_VERSION" \
    "typescript@$TYPESCRIPT_VERSION" \
    "@anthropic-ai/claude-code@$CLAUDE_CODE_VERSION" \
    "@anthropic-ai/claude-code-linux-$arch@$CLAUDE_CODE_VERSION" \
    "@openai/codex@$CODEX_VERSION" \
    "@openai/codex-linux-$arch@npm:@openai/codex@$CODEX_VERSION-linux-$arch" \
    "opencode-ai@$OPENCODE_VERSION" \
    "$opencode@$OPENCODE_VERSION"

# The shell still remembers where Debian's npm was.
hash -r

# npm installs the optional twins (musl, AVX2) of a global package whatever it is told.
rm -rf "$modules/@anthropic-ai/claude-code/node_modules" "$modules/@openai/codex/node_modules" \
    "$modules/opencode-ai/node_modules"

# Each binary moves to where its package's own install script would have put a copy of it.
mv "$modules/@anthropic-ai/claude-code-linux-$arch/claude" "$modules/@anthropic-ai/claude-code/bin/claude.exe"
mv "$modules/$opencode/bin/opencode" "$modules/opencode-ai/bin/opencode.exe"
rm -rf "$modules/@anthropic-ai/claude-code-linux-$arch" "${modules:?}/$opencode"

# Codex: Debian's ripgrep serves it as well, and a sandbox has no microphone.
vendor=$modules/@openai/codex-linux-$arch/vendor/$target
ln -sf /usr/bin/rg "$vendor/codex-path/rg"
rm -rf "$vendor/codex-resources/voice"

# npm carried over the built-in settings of Debian's.
rm -rf "$modules/npm/npmrc" "$modules/npm/docs" "$modules/npm/man" "$modules/pnpm/CHANGELOG.md"
find "$modules/pnpm/dist/node_modules/@reflink" -maxdepth 1 -name 'reflink-*' ! -name "reflink-linux-$arch-gnu" \
    -exec rm -rf {} +

# expect VERSION COMMAND…: fails the build when the trimmed program is not the pinned one.
expect() {
    wanted=$1
    shift
    found=$("$@" 2>&1) || true
    case $found in
        *"$wanted"*) echo "amika: $1 $wanted" ;;
        *)
            echo "expected version $wanted of $1, got: $found" >&2
            exit 1
            ;;
    esac
}
expect "$NODE_VERSION" node --version
expect "$NPM_VERSION" npm --version
expect "$PNPM_VERSION" pnpm --version
expect "$TYPESCRIPT_VERSION" tsc --version
expect "$CLAUDE_CODE_VERSION" claude --version
expect "$CODEX_VERSION" codex --version
expect "$OPENCODE_VERSION" opencode --version

# The stage stays on the host as a cache: without what only fetched it, it is half as large.
rm -rf /opt/bootstrap /root/.npm /root/.cache /tmp/*
apt-get -qq purge -y --auto-remove binutils npm >/dev/null
rm -rf /var/lib/apt/lists/* /var/cache/*
