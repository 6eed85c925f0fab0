#!/bin/sh
# Copies the model that ships, or the .tflite that SENTIO_MODEL names, to where the app looks for it.
#
#   tools/copy-model.sh APP/sentio.tflite
#
# Xcode shows lines that begin with "error:".
set -eu
models="$(cd "$(dirname "$0")/../../.." && pwd)/sentio_tf/models"

if [ $# -ne 1 ]; then
  echo "error: expected one argument, the file to write, received $#" >&2
  exit 2
fi
if [ -z "${SENTIO_MODEL:-}" ]; then
  SENTIO_MODEL="$models/$(python3 -c '
import json, sys
registry = json.load(open(sys.argv[1], encoding="utf-8"))
print(next(model["file"] for model in registry["models"] if model["name"] == registry["live"]))
' "$models/registry.json")"
fi
if [ ! -f "$SENTIO_MODEL" ]; then
  echo "error: expected a model at $SENTIO_MODEL, received none; set SENTIO_MODEL to a .tflite of sentio-tf export" >&2
  exit 1
fi
mkdir -p "$(dirname "$1")"
cp "$SENTIO_MODEL" "$1"
