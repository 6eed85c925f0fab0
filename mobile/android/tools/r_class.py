#!/usr/bin/env python3
"""Writes the class R of an app's resources, and fails on a reference to one that is missing.

`python3 r_class.py MAIN OUT`: MAIN is `src/main` of the app, OUT the folder that gets `io/sentio/app/R.java`. Stands in
for aapt2 where the Android SDK cannot be had, so that the Kotlin code is checked against the resources that exist.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict

PACKAGE = "io.sentio.app"
REFERENCE = re.compile(r"@(\+?)(?:([\w.]+):)?(\w+)/([\w.]+)")


def main(source: pathlib.Path, out: pathlib.Path) -> int:
    names: dict[str, set[str]] = defaultdict(set)
    references: list[tuple[pathlib.Path, str, str]] = []
    for file in sorted([*source.glob("res/*/*.xml"), source / "AndroidManifest.xml"]):
        root = ET.parse(file).getroot()
        folder = file.parent.name.split("-")[0]
        if folder == "values":
            for entry in root:
                names[entry.tag].add(entry.attrib["name"])
        elif folder != "main":
            names[folder].add(file.stem)
        for element in root.iter():
            parent = element.attrib.get("parent") if element.tag == "style" else None
            if parent and not parent.startswith("@"):
                references.append((file, "style", parent))
            for value in [*element.attrib.values(), element.text or ""]:
                for new, package, kind, name in REFERENCE.findall(value):
                    if new:
                        names[kind].add(name)
                    elif not package:
                        references.append((file, kind, name))
    missing = [f"{file}: no {kind} called {name}" for file, kind, name in references if name not in names[kind]]
    if missing:
        print("\n".join(missing), file=sys.stderr)
        return 1
    lines = [f"package {PACKAGE};", "", "public final class R {"]
    number = 0
    for kind in sorted(names):
        lines.append(f"    public static final class {kind} {{")
        for name in sorted(names[kind]):
            number += 1
            lines.append(f"        public static final int {name.replace('.', '_')} = {number};")
        lines.append("    }")
    target = out.joinpath(*PACKAGE.split("."), "R.java")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join([*lines, "}", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
