"""Every quantisation of one run: size, deviation from Keras, CCC lost, time against float.

python tools/quantization.py RUN CORPUS:ROOT... [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

from sentio_tf import export
from sentio_tf.export import parity
from sentio_tf.export.quantize import QUANTIZATIONS
from sentio_tf.runtime.engine import Engine
from sentio_tf.runtime.golden import golden_waveform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    parity.TOLERANCE.update(dict.fromkeys(QUANTIZATIONS, 2.0))  # report what it is, refuse nothing
    waveform = golden_waveform()
    engines, rows = {}, []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"  # export writes the card into the run; the run's own stays
        shutil.copytree(arguments.run, run)
        for kind in QUANTIZATIONS:
            out = Path(folder) / f"{kind}.tflite"
            card = export.export_run(run, out, sources=arguments.sources, quantization=kind).card
            engines[kind] = Engine(out, threads=1)
            rows.append({"kind": kind, "bytes": out.stat().st_size, "parity": card.parity})
    best = dict.fromkeys(QUANTIZATIONS, 1e9)
    for _ in range(15):  # in turn, so that a busy moment hits all of them
        for kind, engine in engines.items():
            began = time.perf_counter()
            engine(waveform)
            best[kind] = min(best[kind], time.perf_counter() - began)
    for row in rows:
        row["seconds"] = round(best[row["kind"]], 5)
        row["ratio"] = round(best[row["kind"]] / best["none"], 3)
        print(row["kind"], row["bytes"], row["parity"]["max"], row["parity"]["ccc_lost"], row["seconds"], flush=True)
    if arguments.json:
        result = {
            "kind": "quantization",
            "experiment": "quantization-mobilevit-xxs",
            "title": "Quantisation of the student",
            "command": "python tools/quantization.py RUN "
            + " ".join(f"{s.partition(':')[0]}:ROOT" for s in arguments.sources),
            "note": f"Against Keras on {rows[0]['parity']['windows']} windows of real music; CCC against the "
            "ratings of the rated ones. Time of one window on one thread, front end included, "
            f"{1000 * best['none']:.0f} ms in float.",
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
