#!/bin/sh
# Chromium for the browser tests; install it where we may, else say so and fail.
set -u
command -v chromium >/dev/null 2>&1 && exit 0
"$(dirname "$0")/apt_install.sh" chromium fonts-dejavu-core && exit 0
echo "expected Chromium, received none; install it with your package manager" >&2
exit 1
