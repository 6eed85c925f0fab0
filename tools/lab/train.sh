#!/usr/bin/env bash
# The fits of a pack (tools/lab/pack.py) one after another on Keras' JAX backend, without TensorFlow or network.
#
#   [NAME=VALUE]... tools/lab/train.sh [lab.tar.gz.00of02 ...]
#
# The numbered files may come in several calls.  A call with all of them there trains; the same call again goes on
# where the last one stopped.  What is ready (also half a run) is laid into OUT for tools/lab/fetch.py.
#
#   WORK      folder of the pack and its runs, kept between calls    [/tmp/sentio-lab]
#   OUT       folder for runs.tar.gz.00, ..., SHA256SUMS, log.txt    [WORK/out]
#   PYTHON    a Python that has JAX                                  [python3]
#   LIMIT_S   stop training after so many seconds                    [none]
#   MODELS    none: leave model.keras and checkpoints there          [all]
#   LIMIT_MB  largest file of OUT                                    [15]
#   FIRST, FILES  lay only FILES numbered files from FIRST on        [0, all]
set -euo pipefail

WORK=${WORK:-/tmp/sentio-lab}
OUT=${OUT:-$WORK/out}
PYTHON=${PYTHON:-python3}
mkdir -p "$WORK/parts" "$WORK/runs" "$OUT"
for part in "$@"; do cp "$part" "$WORK/parts/"; done

if [ ! -e "$WORK/lab.json" ]; then
    parts=("$WORK"/parts/*of*)
    count=$((10#${parts[0]##*of}))
    if [ ${#parts[@]} -ne "$count" ]; then
        echo "${#parts[@]} of $count files are here; bring the others"
        exit 0
    fi
    rm -rf "$WORK/new"
    mkdir "$WORK/new"
    cat "${parts[@]}" | tar -xzf - -C "$WORK/new"
    if compgen -G "$WORK/new/wheels/*.whl" >/dev/null; then
        "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$WORK/new/site" "$WORK"/new/wheels/*.whl
    fi
    rm -rf "$WORK"/{code,cache,data,site,split.json}
    mv "$WORK"/new/{code,cache,data} "$WORK/"
    for name in site split.json lab.json; do
        if [ -e "$WORK/new/$name" ]; then mv "$WORK/new/$name" "$WORK/"; fi # lab.json last: now it is whole
    done
    rm -rf "$WORK/new" "$WORK/parts"
fi

export KERAS_BACKEND=jax PYTHONUNBUFFERED=1
export PYTHONPATH=$WORK/code:$WORK/site${PYTHONPATH:+:$PYTHONPATH}
status=0
(cd "$WORK" && timeout "${LIMIT_S:-0}" "$PYTHON" - 2>&1 <<'EOF'
import json
import sys
import time
from pathlib import Path

sys.modules["tensorflow"] = None  # where it is installed, it would take the accelerator's memory from JAX

from sentio_tf import config
from sentio_tf.errors import SentioError
from sentio_tf.training import fit as training

lab = json.loads(Path("lab.json").read_text())
training.COMMIT = lab["commit"]  # there is no checkout here
failed = 0
for run in lab["runs"]:
    out, settings = Path("runs", run["name"]), Path(f"{run['name']}.yaml")
    if (out / "metrics.json").exists():
        print(f"{run['name']}: complete", flush=True)
        continue
    settings.write_text(run["config"])
    if not (out / "config.yaml").exists():
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.yaml").write_text(run["expected"])  # fit refuses to train anything else in this folder
    began = time.time()
    try:
        training.fit(
            config.load(settings),
            lab["sources"],
            out,
            cache=Path("cache"),
            split=Path("split.json") if lab["split"] else None,
            allow_divided=lab["allow_divided"],
            purge_divided=lab["purge_divided"],
            report=lambda text: print(f"{run['name']}: {text}", flush=True),
        )
        print(f"{run['name']}: complete, {time.time() - began:.0f} s", flush=True)
    except SentioError as error:
        print(f"{run['name']}: error: {error}", flush=True)
        failed = 1
sys.exit(failed)
EOF
) | tee -a "$WORK/log.txt" || status=$?
if [ "$status" -eq 124 ]; then echo "stopped after $LIMIT_S s; the same call goes on" | tee -a "$WORK/log.txt"; fi

# The same bytes as long as nothing changed, so that numbered files of several calls fit together.
left=(--exclude='*.part' --exclude=tensorboard)
if [ "${MODELS:-all}" = none ]; then left+=(--exclude=model.keras --exclude=checkpoint.npz --exclude=best.weights.h5); fi
rm -rf "$WORK/back"
mkdir "$WORK/back"
tar -C "$WORK" "${left[@]}" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - runs |
    gzip -n | split -b "${LIMIT_MB:-15}MB" -d - "$WORK/back/runs.tar.gz."
(cd "$WORK/back" && sha256sum runs.tar.gz.* >"$OUT/SHA256SUMS")
find "$WORK/back" -name 'runs.tar.gz.*' | sort | tail -n "+$((${FIRST:-0} + 1))" | head -n "${FILES:-100}" |
    while read -r file; do cp "$file" "$OUT/"; done
cp "$WORK/log.txt" "$OUT/"
ls -l "$OUT"
exit "$status"
