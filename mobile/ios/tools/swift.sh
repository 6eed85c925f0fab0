#!/usr/bin/env bash
# Runs a command where Swift 6 is: on this machine if it is there, else in a Debian root made for it once (about two
# minutes, 2.6 GB).  The repository and the LiteRT library are mounted into the root at the places they have outside.
#
#   tools/swift.sh swift build
#
# SENTIO_SWIFT_ROOT: place of the root, by default below ${XDG_CACHE_HOME:-~/.cache}; delete it to make it anew.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repository="$(cd "$here/../../.." && pwd)"
root="${SENTIO_SWIFT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/sentio/swift-root}"
directory="$PWD"

fail() {
  echo "$*" >&2
  exit 1
}

if [ -z "${SENTIO_SWIFT_ROOT:-}" ] && swift --version 2>/dev/null | grep -Eq 'Swift version (6|[7-9]|[1-9][0-9])\.'; then
  exec "$@"
fi

[ "$(id -u)" = 0 ] || fail "expected Swift 6 on the PATH, or root to make a toolchain root; install Swift, or use sudo"
unshare --mount true 2>/dev/null || fail "expected mount namespaces, this container refuses them; install Swift 6 in it"

if [ ! -d "$root/usr" ]; then
  if ! command -v mmdebstrap >/dev/null; then
    command -v apt-get >/dev/null || fail "expected mmdebstrap to make a toolchain root; install it, or Swift 6"
    { apt-get update && apt-get install --yes --no-install-recommends mmdebstrap; } >/dev/null ||
      fail "mmdebstrap cannot be installed; install it, or Swift 6"
  fi
  echo "making a toolchain root in $root" >&2
  mkdir -p "$(dirname "$root")"
  rm -rf "$root.part"
  mmdebstrap --quiet --variant=minbase --include=swiftlang,libc6-dev,libstdc++-14-dev trixie "$root.part" >&2
  mv "$root.part" "$root" # whole, or not at all
fi

# Of the library only its folder is mounted, so that no link in it leads elsewhere.
mounts=("$repository")
if [ -n "${SENTIO_LITERT:-}" ]; then
  mounts+=("$(dirname "$(realpath "$SENTIO_LITERT")")")
fi
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount bash -euo pipefail -c '
  root="$1" directory="$2" count="$3"
  shift 3
  mount --types proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  for ((; count > 0; count--)); do
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    shift
  done
  exec chroot "$root" /usr/bin/env --chdir="$directory" PATH=/usr/bin:/bin HOME=/root "$@"
' swift.sh "$root" "$directory" "${#mounts[@]}" "${mounts[@]}" "$@"
