"""Each check says ok of a good file and fails for the one thing that is wrong with a bad one."""

import dataclasses

import numpy as np
import pytest

from sentio_tf.contract import Card
from sentio_tf.errors import ModelError
from sentio_tf.export.card import embed
from sentio_tf.runtime import checks, flatbuffer, golden
from sentio_tf.runtime.predictor import find_model

from . import tiny


@pytest.fixture
def check(tmp_path):
    """States and details of the checks of a model, by name."""

    def found(content: bytes) -> dict[str, checks.Check]:
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        report = checks.verify(path)
        assert [c.name for c in report.checks] == list(checks.CHECKS), "all of them, whatever one finds"
        assert all(c.detail and "\n" not in c.detail for c in report.checks)
        assert report.good == (not failed({c.name: c for c in report.checks}))
        return {c.name: c for c in report.checks}

    return found


def failed(found) -> list[str]:
    return [name for name, check in found.items() if check.state == checks.FAILED]


def states(found) -> set[str]:
    return {check.state for check in found.values()}


@pytest.fixture(scope="module")
def good():
    return tiny.with_card(tiny.model())


def test_a_good_file(check, good):
    assert states(check(good)) == {checks.OK}


def test_the_shipped_model():
    report = checks.verify(find_model("mobilevit-xxs"))
    found = {c.name: c for c in report.checks}
    assert failed(found) == []
    assert [name for name, c in found.items() if c.state == checks.SKIPPED] == ["content"]
    assert "older export" in found["content"].detail
    taken = report.delegation["predict"]
    assert taken["of"] == sum(report.operators["predict"].values())
    assert taken["outside"]["RFFT2D"] == 1, "XNNPACK has none"
    assert taken["taken"] + sum(taken["outside"].values()) == taken["of"]
    assert "CONV_2D" not in taken["outside"]
    assert report.to_dict()["ok"] is True


def test_delegation_of_each_signature(tmp_path):
    path = tmp_path / "two.tflite"
    path.write_bytes(tiny.model(network=True))
    report = checks.verify(path)
    assert {name: (d["taken"], d["of"]) for name, d in report.delegation.items()} == {
        "predict": (4, 4),
        "network": (1, 1),
    }
    assert report.operators["network"] == {"LOGISTIC": 1}


def test_what_lies_between_the_ends_of_a_part_is_taken():
    """0 -> a -> 1 -> b -> 2 -> c -> 3, with b and its neighbour d (1 -> 4) in one part."""
    nodes = [
        {"op_name": name, "inputs": np.array(i), "outputs": np.array(o)}
        for name, i, o in [
            ("A", [0], [1]),
            ("B", [1], [2]),
            ("C", [2, 4], [3]),
            ("D", [1], [4]),
            ("DELEGATE", [1], [2, 4]),
        ]
    ]
    assert checks._outside(nodes, 4) == {"taken": 2, "of": 4, "parts": 1, "outside": {"A": 1, "C": 1}}
    assert checks._outside(nodes[:4], 4)["taken"] == 0


def test_edited_after_export(check, good):
    at = good.index(b"CC0-1.0")
    found = check(good[:at] + b"CC0-2.0" + good[at + 7 :])
    assert failed(found) == ["content"]
    assert "edited after export" in found["content"].detail


def test_hash_that_is_none(check, good):
    at = good.index(flatbuffer.stated_sha256(good).encode())
    for digit in (b"x", b"0" if good[at : at + 1] != b"0" else b"1"):
        found = check(good[:at] + digit + good[at + 1 :])
        assert failed(found) == ["content"]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1c\0\0\0TFL3" + bytes(40)])
def test_no_whole_model(check, content):
    found = check(content)
    assert failed(found) == ["file"]
    assert states(found) == {checks.FAILED, checks.SKIPPED}


def test_every_cut_fails(check, good):
    for size in (100, len(good) // 2, len(good) - 60, len(good) - 1):
        assert failed(check(good[:size])), size


def test_card_removed(check):
    found = check(tiny.model())
    assert failed(found) == ["card"]
    assert "removed, or never there; export the run" in found["card"].detail
    assert found["golden output"].state == checks.SKIPPED
    assert found["extremes"].state == checks.OK, "what can be checked without a card is"


def test_card_of_a_newer_schema(check):
    found = check(tiny.with_card(tiny.model(), schema="sentio/2"))
    assert failed(found) == ["card"]
    assert "received 'sentio/2'; update sentio-tf" in found["card"].detail


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"metrics": {}}, "metrics"),
        ({"licence": ""}, "licence"),
        ({"golden": {"waveform": "golden_waveform"}}, "golden.sha256, golden.valence_arousal"),
    ],
)
def test_card_that_lacks_something(check, changes, missing):
    found = check(tiny.with_card(tiny.model(), **changes))
    assert failed(found) == ["card"]
    assert f"the card lacks {missing};" in found["card"].detail


def test_card_with_values_of_the_wrong_kind(check):
    content = tiny.model()
    for changes in ({"golden": ["sha256", "valence_arousal"]}, {"output": 3}, {"parity": 0}, {"front_end": None}):
        found = check(tiny.with_card(content, **{"golden": {}, **changes}))
        assert failed(found), changes


def test_card_without_a_field(check):
    """A field with a default is no reason to be refused by the runtime, but a complete card has it."""

    class Poor(Card):
        def to_json(self):
            import json

            raw = json.loads(super().to_json())
            del raw["resampler"], raw["windows"]["tail"]
            return json.dumps(raw)

    content = tiny.with_card(tiny.model(), sealed=False)
    poor = Poor(**vars(Card.from_json(flatbuffer.read_metadata(content))))
    found = check(embed(content, poor))
    assert failed(found) == ["card"]
    assert "the card lacks resampler, windows.tail;" in found["card"].detail


def test_operator_that_is_no_builtin(check):
    content = tiny.with_card(tiny.model(custom="FlexErf"), golden={"sha256": "0", "valence_arousal": [0, 0]})
    found = check(content)
    assert failed(found) == ["builtins", "loads"]
    assert "FlexErf at predict/tiny/tanh" in found["builtins"].detail
    assert found["golden output"].state == checks.SKIPPED


def test_another_signature_than_the_card_promises(check):
    content = tiny.with_card(tiny.model(), sealed=False)
    card = Card.from_json(flatbuffer.read_metadata(content))
    for changes, message in (
        ({"input": "sound"}, "expected sound float32 [1, 661500], received waveform float32 [1, 661500]"),
        ({"distance": "domain_distance"}, "domain_distance float32 [1], received valence_arousal float32 [1, 2]"),
    ):
        other = dataclasses.replace(card, signature=dataclasses.replace(card.signature, **changes))
        found = check(embed(content, other))
        assert failed(found) == ["signature"], changes
        assert message in found["signature"].detail
    other = dataclasses.replace(card, signature=dataclasses.replace(card.signature, name="serve"))
    assert failed(check(embed(content, other)))[0] == "signature"


def test_window_of_another_length(check):
    found = check(tiny.with_card(tiny.model(samples=1000), golden={"sha256": "0", "valence_arousal": [0, 0]}))
    assert failed(found) == ["signature", "golden output"]
    assert "expected waveform float32 [1, 661500], received waveform float32 [1, 1000]" in found["signature"].detail


def test_golden_answer_that_is_another(check):
    waveform = golden.golden_waveform()
    values = {"sha256": golden.sha256(waveform), "valence_arousal": [0.5, 0.0]}
    found = check(tiny.with_card(tiny.model(), golden=values))
    assert failed(found) == ["golden output"]
    assert "expected [0.5, 0.0] within 0.001" in found["golden output"].detail
    found = check(tiny.with_card(tiny.model(), golden={**values, "sha256": "0" * 64}))
    assert "hash differs" in found["golden output"].detail


def test_nan_for_silence(check):
    found = check(tiny.with_card(tiny.model(divide=True)))
    assert failed(found) == ["extremes"]
    assert "nan" in found["extremes"].detail
    assert "for silence" in found["extremes"].detail


def test_minimum_runtime_of_the_card_is_the_files(check):
    found = check(tiny.with_card(tiny.model(), minimum_runtime="2.17.0"))
    assert failed(found) == ["minimum runtime"]
    assert "the card says 2.17.0, the file 1.5.0" in found["minimum runtime"].detail


def test_minimum_runtime_above_the_installed(check, monkeypatch):
    content = tiny.model()
    newer = content.replace(b"1.5.0\0\0", b"99.1.0\0")
    assert newer != content
    monkeypatch.setattr(checks, "COUNTS_AS", dict.fromkeys(f"{a}.{b}" for a in range(9) for b in range(99)) | {})
    assert failed(check(tiny.with_card(newer))) == [], "nothing is known: that it loads is enough"
    monkeypatch.setattr(checks, "COUNTS_AS", {f"{a}.{b}": "2.22.0" for a in range(9) for b in range(99)})
    found = check(tiny.with_card(newer))
    assert failed(found) == ["minimum runtime"]
    assert "needs TensorFlow Lite 99.1.0" in found["minimum runtime"].detail


def test_litert_that_dies_is_survived(check, good, monkeypatch):
    """A process that a signal ends, in whatever step."""

    class Dies(checks.Child):
        answers = 0

        def answer(self, longest_s):
            self.answers += 1
            if self.answers == 4:  # at loads, loads, at golden
                self.process.kill()
                self.process.stdout.read()
            return super().answer(longest_s)

    monkeypatch.setattr(checks, "Child", Dies)
    found = check(good)
    assert failed(found) == ["golden output"]
    assert found["golden output"].detail == "LiteRT was ended by SIGKILL"
    assert (found["loads"].state, found["extremes"].state) == (checks.OK, checks.SKIPPED)


def test_damage_that_only_litert_meets(check, good, rng):
    """Bytes flipped where the tables are still whole: some files end LiteRT, none of them this process."""
    for _ in range(6):
        damaged = bytearray(good)
        for at in rng.integers(8, 1200, size=3):
            damaged[at] = rng.integers(256)
        if bytes(damaged) != good:
            assert failed(check(bytes(damaged)))


def test_litert_that_says_nothing(tmp_path, good):
    path = tmp_path / "m.tflite"
    path.write_bytes(good)
    found = {c.name: c for c in checks.verify(path, longest_s=0.001).checks}
    assert failed(found) == ["loads"] or found["loads"].state == checks.SKIPPED


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read \(No such file or directory\)"):
        checks.verify(tmp_path / "no.tflite")
    with pytest.raises(ModelError, match=r"expected a \.tflite file, received a folder"):
        checks.verify(tmp_path)


def test_extremes_are_within_the_contract():
    for name, sound in checks.extremes(1000).items():
        assert sound.shape == (1000,), name
        assert sound.dtype == np.float32
        assert np.abs(sound).max() <= 1
