"""Is a `.tflite` what its card and the contract promise?  All checks run, whatever one of them finds.

A damaged file can end the process that loads it: LiteRT runs in a child, `probe`, and only after `flatbuffer`
has found the tables whole.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..contract import AXES, METADATA_NAME, AudioContract, Card, SignatureContract, WindowContract
from ..errors import ModelError
from ..terminal import printable
from . import flatbuffer
from .child import Child
from .golden import golden_waveform, sha256

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
# The golden answer may differ so much from the machine that exported: sums are taken in another order, and
# where activations are rounded to 8 bits, one of them may fall to the other side.
GOLDEN_TOLERANCE = {"none": 1e-3, "float16": 2e-3, "dynamic": 1e-2, "int8": 1e-2}
DISTANCE_TOLERANCE = 1e-2  # relative
# Converters stamp versions of TensorFlow Lite, LiteRT began to count anew and does not tell what it counts as;
# this is what its library holds.
COUNTS_AS = {"2.3": "2.22.0"}
LONGEST_S = 120.0  # that LiteRT may take for a step of `probe`
NO_CARD = f"no card (metadata entry {METADATA_NAME}): removed, or never there; export the run with sentio-tf export"
# Fields without which a card says nothing; the others may be empty.
FILLED = ("name", "version", "licence", "training", "metrics", "quantization", "parity", "minimum_runtime", "golden")
OPTIONAL = ("content_sha256", "stream", "deviation", "min_tail_s")  # cards of older exports lack them


@dataclass(frozen=True)
class Check:
    name: str
    state: str  # OK, FAILED or SKIPPED
    detail: str  # one line


@dataclass(frozen=True)
class Report:
    """What was found, and what the file holds: by signature its operators and where they run."""

    path: str
    size: int  # bytes
    constants: int = 0  # bytes of weights and tables
    checks: tuple[Check, ...] = ()
    operators: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    # By signature: nodes that XNNPACK takes, in how many parts, and operators `outside`; None: not known.
    delegation: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return all(c.state != FAILED for c in self.checks)

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "ok": self.good}


class _Failed(Exception):
    """A check that fails, with its line."""


class _Skipped(Exception):
    """A check that cannot be made, with the reason."""


@dataclass(frozen=True)
class _Subject:
    """What the checks look at; None where it could not be had."""

    content: bytes
    structure: flatbuffer.Structure | None
    raw_card: bytes | None
    card: Card | None
    found: Mapping[str, Any]  # what `probe` answered

    def tables(self) -> flatbuffer.Structure:
        if self.structure is None:
            raise _Skipped("the file holds no whole model")
        return self.structure

    def told(self) -> Card:
        if self.card is None:
            raise _Skipped("no card that can be used")
        return self.card

    def answer(self, step: str) -> Any:
        """What the child found in a step; a failure of the check of this step where it ended in it."""
        self.tables()
        if step in self.found:
            return self.found[step]
        if self.found.get("at") == step:
            raise _Failed(self.found["error"])
        raise _Skipped("the model does not run" if "loads" in self.found else "the model does not load")


def verify(path: str | Path, *, longest_s: float = LONGEST_S) -> Report:
    """Every check that needs nothing but the file.

    Raises: ModelError if there is no such file, or it is a folder.
    """
    path = Path(path)
    content = read(path)
    structure = raw = card = None
    try:
        structure = flatbuffer.structure(content)
        raw = flatbuffer.read_metadata(content)
        card = None if raw is None else Card.from_json(raw)
    except ModelError:
        pass  # the checks say it again, each where it belongs
    found = {} if structure is None else _probed(path, card, longest_s)
    subject = _Subject(content, structure, raw, card, found)
    report = Report(str(path), len(content), checks=tuple(_checked(subject)))
    if structure is None:
        return report
    return dataclasses.replace(
        report,
        constants=structure.constants,
        operators={name: structure.subgraphs[s.subgraph].counts() for name, s in _entries(structure).items()},
        delegation={name: found.get("delegation", {}).get(name) for name in _entries(structure)},
    )


def read(path: Path) -> bytes:
    """The file's bytes.  Raises: ModelError in one line."""
    if path.is_dir():
        raise ModelError(f"{path}: expected a .tflite file, received a folder")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror}); check the name") from None


def _entries(structure: flatbuffer.Structure) -> Mapping[str, flatbuffer.Signature]:
    """Signatures; a model without any is entered at its first subgraph."""
    return structure.signatures or {"": flatbuffer.Signature("", 0, {}, {})}


def _checked(subject: _Subject) -> Iterator[Check]:
    for name, check in CHECKS.items():
        try:
            yield Check(name, OK, _line(check(subject)))
        except _Skipped as reason:
            yield Check(name, SKIPPED, _line(str(reason)))
        except _Failed as reason:
            yield Check(name, FAILED, _line(str(reason)))
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # a card may hold anything
            yield Check(
                name, FAILED, _line(f"the card holds a value of the wrong kind ({error}); export the run again")
            )


def _line(text: str, longest: int = 300) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= longest else f"{text[:longest]}..."


# -- the checks: each returns what it says when all is well ---------------------------------------------


def _file(subject: _Subject) -> str:
    try:
        flatbuffer.structure(subject.content)
        flatbuffer.read_metadata(subject.content)
    except ModelError as error:
        raise _Failed(str(error)) from None
    return f"TFLite, {len(subject.content) / 1e6:.2f} MB, of which {subject.tables().constants / 1e6:.2f} MB constants"


def _card(subject: _Subject) -> str:
    subject.tables()
    if subject.raw_card is None:
        raise _Failed(NO_CARD)
    try:
        card = Card.from_json(subject.raw_card)
    except ModelError as error:
        raise _Failed(str(error)) from None
    raw = json.loads(subject.raw_card)
    parts = {"": Card, "audio": AudioContract, "windows": WindowContract, "signature": SignatureContract}
    missing = [
        f"{part}.{f.name}".lstrip(".")
        for part, kind in parts.items()
        for f in dataclasses.fields(kind)
        if f.name not in (raw[part] if part else raw) and f.name not in OPTIONAL
    ]
    missing += [name for name in FILLED if name not in missing and not raw[name]]
    missing += [f"golden.{name}" for name in ("sha256", "valence_arousal") if name not in (raw.get("golden") or {})]
    if missing:
        raise _Failed(f"the card lacks {', '.join(missing)}; export the run again")
    if card.output.get("axes") != list(AXES) or list(card.output.get("range", ())) != [-1.0, 1.0]:
        raise _Failed(f"expected output {list(AXES)} in [-1, 1], received {card.output}; export the run again")
    return f"{card.name} {card.version}, {card.schema}, {card.quantization}, licence {card.licence}"


def _content(subject: _Subject) -> str:
    subject.tables()
    if subject.raw_card is None:
        raise _Skipped("no card to state the hash")
    stated = flatbuffer.stated_sha256(subject.content)
    if not stated and re.search(rb'"content_sha256":\s*"[^"]', subject.raw_card):
        raise _Failed("the file was edited after export: the hash that the card states is none")
    if not stated:
        raise _Skipped("the card states no hash of the file; those of older exports do not")
    actual = flatbuffer.content_sha256(subject.content)
    if actual != stated:
        raise _Failed(f"the file was edited after export: expected sha256 {stated[:12]}..., received {actual[:12]}...")
    return f"as exported, sha256 {stated[:12]}..."


def _builtins(subject: _Subject) -> str:
    structure = subject.tables()
    places: dict[str, list[str]] = {}
    for name, where in structure.custom():
        places.setdefault(name, []).append(where)
    if places:
        said = [f"{n} at {w[0]}" + (f" and {len(w) - 1} more" if len(w) > 1 else "") for n, w in places.items()]
        raise _Failed(f"expected TFLite builtins only, received {'; '.join(said)}; replace the layer and export again")
    return f"{sum(len(g.operators) for g in structure.subgraphs)} operators, all builtins"


def _signature(subject: _Subject) -> str:
    structure = subject.tables()
    promised = subject.card.signature if subject.card else SignatureContract()
    samples = subject.card.audio.samples if subject.card else AudioContract().samples
    signature = structure.signatures.get(promised.name)
    if signature is None:
        names = ", ".join(structure.signatures) or "none"
        raise _Failed(f"expected a signature {promised.name}, received {names}; export the run again")
    expected: Mapping[str, tuple[str, tuple[int, ...]]] = {promised.input: ("float32", (1, samples))}
    answers: dict[str, tuple[str, tuple[int, ...]]] = {promised.output: ("float32", (1, 2))}
    if promised.distance:
        answers[promised.distance] = ("float32", (1,))
    if promised.deviation:
        answers[promised.deviation] = ("float32", (1, 2))
    for wanted, tensors in ((expected, signature.inputs), (answers, signature.outputs)):
        received = {name: (t.dtype, t.shape) for name, t in tensors.items()}
        # Without a card nobody promised that there is no more than the contract's one output.
        if received != wanted and (subject.card or not wanted.items() <= received.items()):
            raise _Failed(
                f"expected {_said(wanted)}, received {_said(received)} in {signature.name}; export the run again"
            )
    return "; ".join(str(s) for s in structure.signatures.values())


def _said(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {dtype} {list(shape)}" for name, (dtype, shape) in tensors.items()) or "nothing"


def _loads(subject: _Subject) -> str:
    found = subject.answer("loads")
    return f"LiteRT {found['litert']}, {found['seconds'] * 1e3:.0f} ms"


def _minimum_runtime(subject: _Subject) -> str:
    stamped = subject.tables().minimum_runtime
    if subject.card and subject.card.minimum_runtime != stamped:
        raise _Failed(f"the card says {subject.card.minimum_runtime or 'nothing'}, the file {stamped or 'nothing'}")
    if not stamped:
        raise _Skipped("the converter stamped none")
    if "loads" not in subject.found:
        raise _Skipped("the model does not load")
    litert = subject.found["loads"]["litert"]
    counts_as = COUNTS_AS.get(".".join(litert.split(".")[:2]))
    if counts_as and _numbers(stamped) > _numbers(counts_as):
        raise _Failed(f"needs TensorFlow Lite {stamped}, here is LiteRT {litert} ({counts_as}); update ai-edge-litert")
    # It refuses to load operators of a version that it does not know.
    return f"TensorFlow Lite {stamped}; LiteRT {litert} knows every operator"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version.split(".")[:3])


def _golden(subject: _Subject) -> str:
    found = subject.answer("golden")
    card = subject.told()
    golden = card.golden
    stated = golden.get("valence_arousal")
    if not isinstance(stated, list) or len(stated) != 2:
        raise _Skipped("the card has no golden output")
    if found["sha256"] != golden.get("sha256"):
        raise _Failed("the golden waveform made here is not the card's: its hash differs; report this machine")
    limit = GOLDEN_TOLERANCE.get(card.quantization, max(GOLDEN_TOLERANCE.values()))
    answer = found["outputs"].get(card.signature.output, [])
    deviation = _deviation(answer, stated)
    if not deviation <= limit:
        raise _Failed(f"expected {_rounded(stated)} within {limit:g}, received {_rounded(answer)}")
    said = f"{_rounded(answer)}, {deviation:.1e} from the card's"
    distance = golden.get("domain_distance")
    if card.signature.distance and distance is not None:
        other = found["outputs"].get(card.signature.distance, [])
        if not _deviation(other, [distance]) <= DISTANCE_TOLERANCE * abs(distance):
            raise _Failed(f"expected domain distance {distance:.4f}, received {_rounded(other)}")
    std = golden.get("valence_arousal_std")
    if card.signature.deviation and std is not None:
        other = found["outputs"].get(card.signature.deviation, [])
        if not _deviation(other, std) <= limit:
            raise _Failed(f"expected standard deviations {_rounded(std)} within {limit:g}, received {_rounded(other)}")
    return said


def _deviation(received: Sequence[float], expected: Sequence[float]) -> float:
    """Largest absolute difference; NaN where the lengths differ."""
    if len(received) != len(expected):
        return float("nan")
    return float(np.max(np.abs(np.asarray(received, float) - np.asarray(expected, float))))


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(v), 4) for v in values]


def _extremes(subject: _Subject) -> str:
    answers = subject.answer("extremes")
    name = (subject.card.signature if subject.card else SignatureContract()).output
    bad = [
        f"{_rounded(outputs.get(name, []))} for {signal_name}"
        for signal_name, outputs in answers.items()
        if not all(np.isfinite(values).all() for values in outputs.values())
        or not (np.abs(outputs.get(name, [np.inf])) <= 1 + 1e-6).all()
    ]
    if bad:
        raise _Failed(f"expected numbers in [-1, 1], received {'; '.join(bad)}")
    return f"numbers in [-1, 1] for {', '.join(answers)}"


def _repeatable(subject: _Subject) -> str:
    if not subject.answer("repeatable"):
        raise _Failed("the same window got another answer the second time")
    return "the same window, the same answer, with others heard in between"


CHECKS: dict[str, Callable[[_Subject], str]] = {
    "file": _file,
    "card": _card,
    "content": _content,
    "builtins": _builtins,
    "signature": _signature,
    "loads": _loads,
    "minimum runtime": _minimum_runtime,
    "golden output": _golden,
    "extremes": _extremes,
    "repeatable": _repeatable,
}


# -- LiteRT, in a child ---------------------------------------------------------------------------------


def _probed(path: Path, card: Card | None, longest_s: float) -> dict[str, Any]:
    """What `probe` finds; where it ended early, `at` which step, and the `error` in one line."""
    signature = card.signature if card else SignatureContract()
    rate = card.audio.sample_rate if card else AudioContract().sample_rate
    child = Child(__name__, [str(path), signature.name, str(rate)])
    found: dict[str, Any] = {}
    try:
        while not {"error", "done"} & set(found):
            found |= child.answer(longest_s)
    finally:
        child.end()
    return found


def probe(path: str, name: str, rate: int) -> Iterator[dict[str, Any]]:
    """Load and run the model; an answer a step, each after a line that says which step comes (`at`).

    Whatever the file holds is run: no card is asked for.
    """
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    content = Path(path).read_bytes()
    yield {"at": "loads"}
    began = time.perf_counter()
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    yield {"loads": {"seconds": time.perf_counter() - began, "litert": version("ai-edge-litert")}}
    yield {"at": "golden"}
    runner = interpreter.get_signature_runner(name)
    ((argument, details),) = runner.get_input_details().items()

    def run(samples: np.ndarray) -> dict[str, list[float]]:
        outputs = runner(**{argument: samples.astype(details["dtype"]).reshape(details["shape"])})
        return {key: np.asarray(value, float).reshape(-1)[:16].tolist() for key, value in outputs.items()}

    waveform = golden_waveform(int(np.prod(details["shape"])), rate)
    first = run(waveform)
    yield {"golden": {"sha256": sha256(waveform), "outputs": first}}
    yield {"at": "extremes"}
    yield {"extremes": {label: run(sound) for label, sound in extremes(len(waveform)).items()}}
    yield {"at": "repeatable"}
    yield {"repeatable": run(waveform) == first}
    yield {"at": "delegation"}  # no check: that nothing is known of it fails nothing
    yield {"delegation": delegation(content, interpreter)}


def extremes(samples: int) -> dict[str, np.ndarray]:
    """Sounds that no song is, float32 `(samples,)` in [-1, 1]."""
    click = np.zeros(samples, np.float32)
    click[samples // 2] = 1
    noise = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    return {"silence": np.zeros(samples, np.float32), "full-scale noise": noise, "a click": click}


def delegation(content: bytes, interpreter: Any) -> dict[str, dict[str, Any] | None]:
    """By signature: how many nodes the default delegate (XNNPACK) takes, in how many parts, and which stay outside."""
    structure = flatbuffer.structure(content)
    found: dict[str, dict[str, Any] | None] = {}
    for name, signature in _entries(structure).items():
        asked = _primary(content, signature.subgraph) if signature.subgraph else interpreter
        count = len(structure.subgraphs[signature.subgraph].operators)
        found[name] = asked and _outside(asked._get_ops_details(), count)
    return found


def _primary(content: bytes, subgraph: int) -> Any:
    """An interpreter of a copy in which `subgraph` is the first; None where that does not load."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=flatbuffer.as_primary(content, subgraph), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError):
        return None
    return interpreter


def _outside(nodes: Sequence[Mapping[str, Any]], count: int) -> dict[str, Any]:
    """Which of the first `count` nodes are in none of the delegate's parts, which LiteRT lists behind them.

    LiteRT does not say what a part holds, but its inputs and outputs: it holds all that lies between.
    """
    makers = {int(tensor): i for i, node in enumerate(nodes[:count]) for tensor in node["outputs"]}
    taken: set[int] = set()
    parts = nodes[count:]
    for part in parts:
        given = {int(t) for t in part["inputs"]}
        wanted = [int(t) for t in part["outputs"]]
        while wanted:
            maker = makers.get(wanted.pop())
            if maker is not None and maker not in taken:
                taken.add(maker)
                wanted += [int(t) for t in nodes[maker]["inputs"] if int(t) not in given]
    left = Counter(node["op_name"] for i, node in enumerate(nodes[:count]) if i not in taken)
    return {"taken": len(taken), "of": count, "parts": len(parts), "outside": dict(left.most_common())}


def _main(path: str, name: str, rate: str) -> None:
    try:
        for answer in probe(path, name, int(rate)):
            print(json.dumps(answer), flush=True)
        print(json.dumps({"done": True}), flush=True)
    except (ValueError, RuntimeError) as error:
        print(json.dumps({"error": f"LiteRT refuses it: {_line(str(error), 160)}"}), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
