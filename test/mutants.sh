#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is needed, and runs mutants.py, which says what it does.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=samples/install.sh
. "$here/../samples/install.sh"
need_packages g++ meson ninja-build git pkg-config libssl-dev liburing-dev doctest-dev openssl python3

exec python3 "$here/mutants.py" "$@"
