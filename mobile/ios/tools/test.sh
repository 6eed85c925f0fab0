#!/usr/bin/env bash
# All of mobile/ios that needs no Apple machine: lint of every Swift file, the tests of kit and engine with the model
# that ships, and the types of the app against declarations of what it uses of Apple's frameworks.
#
# SENTIO_LITERT: LiteRT's library, by default that of the repository's .venv.  Arguments go to `swift test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
swift="$PWD/tools/swift.sh"

if [ -z "${SENTIO_LITERT:-}" ]; then
  found=(../../.venv/lib/python*/site-packages/ai_edge_litert/libLiteRt.*)
  SENTIO_LITERT="${found[0]}"
fi
if [ ! -f "$SENTIO_LITERT" ]; then
  echo "expected LiteRT's library at $SENTIO_LITERT, received none; pip install ai-edge-litert and set SENTIO_LITERT" >&2
  exit 1
fi
SENTIO_LITERT="$(realpath "$SENTIO_LITERT")"
export SENTIO_LITERT

echo "lint"
"$swift" swift format lint --strict --recursive --configuration .swift-format App tools/declarations \
  SentioKit/Package.swift SentioKit/Sources SentioKit/Tests

echo "kit and engine"
(cd SentioKit && "$swift" swift test --configuration release "$@")

if [ "$(uname)" = Darwin ]; then
  echo "app: xcodegen && xcodebuild -scheme sentio -destination 'generic/platform=iOS Simulator' build"
  exit 0
fi
echo "types of the app"
modules="$(cd SentioKit && "$swift" swift build --configuration release --show-bin-path)/Modules"
declared="SentioKit/.build/declarations"
mkdir -p "$declared"
for name in AVFoundation UniformTypeIdentifiers Combine SwiftUI; do
  "$swift" swiftc -emit-module -parse-as-library -swift-version 5 -suppress-warnings -module-name "$name" \
    -I "$declared" -emit-module-path "$declared/$name.swiftmodule" "tools/declarations/$name.swift"
done
"$swift" swiftc -typecheck -parse-as-library -swift-version 6 -warnings-as-errors -module-name sentio \
  -I "$declared" -I "$modules" -Xcc -fmodule-map-file=SentioKit/Sources/CFootprint/module.modulemap \
  -Xcc -fmodule-map-file=SentioKit/Sources/CLiteRtHeader/module.modulemap App/Sources/*.swift
echo "no errors"
