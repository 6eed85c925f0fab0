#!/bin/sh
# Tests run the JavaScript of mobile/web in Node, and its page needs npm; install them where we may, else they say so.
set -u
command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && exit 0
"$(dirname "$0")/apt_install.sh" nodejs npm && exit 0
echo "Node or npm is missing: tests of mobile/web will be skipped, those of its page fail" >&2
