#!/usr/bin/env bash
# All of mobile/ios that needs no Apple machine: lint of every Swift file, the app's sources parsed, and the tests of kit
# and engine with the model that ships.
#
# SENTIO_LITERT: LiteRT's library, by default that of the repository's .venv.  Arguments go to `swift test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
swift=tools/swift.sh

if [ -z "${SENTIO_LITERT:-}" ]; then
  found=(../../.venv/lib/python*/site-packages/ai_edge_litert/libLiteRt.*)
  SENTIO_LITERT="$(realpath "${found[0]}")"
fi
if [ ! -f "$SENTIO_LITERT" ]; then
  echo "expected LiteRT's library at $SENTIO_LITERT, received none; pip install ai-edge-litert and set SENTIO_LITERT" >&2
  exit 1
fi
export SENTIO_LITERT

echo "lint"
"$swift" swift format lint --strict --recursive --configuration .swift-format App SentioKit/Sources SentioKit/Tests \
  SentioKit/Package.swift
echo "parse"
for source in App/Sources/*.swift; do
  "$swift" swiftc -frontend -parse -swift-version 5 "$source"
done
cd SentioKit
exec "../$swift" swift test --configuration release "$@"
