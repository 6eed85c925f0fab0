import dataclasses
import json

import pytest

from sentio_tf.contract import MEL, N_FRAMES, WINDOW_SAMPLES, Card, Prediction, Segment
from sentio_tf.errors import ModelError

CARD = Card(name="m", version="1", licence="CC0", git_commit="abc", uncertainty={"valence_std": 0.2})


def test_window_is_thirty_seconds_of_1292_frames():
    assert 30 * MEL.sample_rate == WINDOW_SAMPLES
    assert N_FRAMES == 1292


def test_card_survives_json():
    assert Card.from_json(CARD.to_json()) == dataclasses.replace(
        CARD, audio=dataclasses.replace(CARD.audio, value_range=[-1.0, 1.0])
    )


def test_newer_field_is_ignored():
    raw = json.loads(CARD.to_json())
    raw["tempo"] = 120
    raw["audio"]["bits"] = 16
    assert Card.from_json(json.dumps(raw)).name == "m"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "sentio/9"}, "sentio/9"),
        ({"name": None, "_drop": "name"}, "lacks a field"),
        ({"_drop": "audio"}, "lacks a field"),
        ({"audio": 3}, "lacks a field"),
    ],
)
def test_broken_card_is_refused_with_the_reason(change, message):
    raw = json.loads(CARD.to_json())
    drop = change.pop("_drop", None)
    raw.update(change)
    raw.pop(drop, None)
    with pytest.raises(ModelError, match=message):
        Card.from_json(json.dumps(raw))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("windows", "hop_s", 60),
        ("windows", "hop_s", -3),
        ("windows", "hop_s", "15"),
        ("windows", "silence_peak", None),
        ("audio", "sample_rate", 0),
        ("audio", "samples", 1.5),
        (None, "domain", None),
        (None, "domain", {"threshold": "3"}),
        (None, "uncertainty", []),
        (None, "uncertainty", {"valence_std": float("nan")}),
    ],
)
def test_values_that_cannot_be_used_are_refused(part, name, value):
    raw = json.loads(CARD.to_json())
    (raw[part] if part else raw)[name] = value
    with pytest.raises(ModelError, match=rf"{name}|NaN"):
        Card.from_json(json.dumps(raw))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', b"\xff\xfe"])
def test_no_card_at_all(text):
    with pytest.raises(ModelError, match="expected a card"):
        Card.from_json(text)


def test_prediction_as_json_has_the_promised_keys():
    prediction = Prediction(
        path="a", model="m", valence=0.1, arousal=0.2, valence_std=None, arousal_std=None, quadrant="Q1",
        mood="happy", duration_s=3.0, windows=1, in_domain=None, timeline=(Segment(0, 3, 0.1, 0.2),),
    )  # fmt: skip
    keys = "path model valence arousal valence_std arousal_std quadrant mood duration_s windows in_domain warnings"
    assert list(prediction.to_dict()) == keys.split()
    assert prediction.to_dict(timeline=True)["timeline"] == [{"start_s": 0, "end_s": 3, "valence": 0.1, "arousal": 0.2}]
