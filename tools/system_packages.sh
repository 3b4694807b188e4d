#!/bin/sh
# Looks for the system packages the tests use, and installs what is missing where it can (root, apt-get).
# What stays missing is said, and the tests that need it skip: this never fails.
set -eu

missing=""

has_postgres() {
    command -v initdb >/dev/null 2>&1 && return 0
    for initdb in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return 0
    done
    return 1
}

has_libgomp() { # the LightGBM wheel for Linux does not bring its own
    [ "$(uname -s)" = Linux ] || return 0
    for folder in /lib /usr/lib /lib64 /usr/lib64 /lib/*-linux-gnu /usr/lib/*-linux-gnu; do
        [ -e "$folder/libgomp.so.1" ] && return 0
    done
    return 1
}

has_chromium() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}

has_postgres || missing="$missing postgresql"
has_libgomp || missing="$missing libgomp1"
has_chromium || missing="$missing chromium"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "luthier: installing$missing"
    # shellcheck disable=SC2086  # a list of words
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
    then
        exit 0
    fi
    echo "luthier: apt-get could not install$missing" >&2
fi
echo "luthier: MISSING on this machine:$missing. The tests that need it will be skipped." >&2
echo "luthier: on Debian or Ubuntu: sudo apt-get install$missing" >&2
