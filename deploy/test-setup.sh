#!/bin/sh
# Installs what the tests start beside Python: Redis, Chromium, a litecoin node, npm packages. As root with apt-get; otherwise says what will be skipped.
set -eu

need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "make: installing $2"
        if [ -z "${updated:-}" ]; then
            apt-get update -qq || true
            updated=1
        fi
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null || true
    fi
    command -v "$1" >/dev/null ||
        echo "make: $1 is missing (Debian package $2): tests that need it are skipped, or fail with CI=true"
}

need redis-server redis-server
need chromium chromium
need litecoind litecoind
sh deploy/node.sh tests/node
sh deploy/node.sh deploy/chain
