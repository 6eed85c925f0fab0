"""The ablation's tool and its table, on runs whose answers are known; what a log-mel loses, on a chord."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from sentio_tf import config as configuration
from sentio_tf.evaluation.predictions import COLUMNS

TOOLS = Path(__file__).parents[2] / "tools"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tool(tmp_path, monkeypatch):
    module = load("ablation_gan")
    split = {"hash": "abc", "tracks": [[f"musifeast17/{i}", f"m{i}", "train"] for i in range(40)]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    monkeypatch.setattr(module, "SPLIT", tmp_path / "split.json")
    monkeypatch.setattr(module, "RESULT", tmp_path / "ablation-gan.json")
    monkeypatch.setattr(module, "DOCS", tmp_path)
    monkeypatch.setattr(module, "RESAMPLES", 200)
    return module


def write_run(
    runs: Path,
    condition: str,
    seed: int,
    error: float,
    *,
    repeats=None,
    epochs: int = 2,
    alike: int = 1,
    artist: int = 1,
) -> None:
    """A finished run whose answers miss by a normal error of that size; 40 songs trained it.

    Args:
        alike: songs in a row with the same error.
        artist: songs in a row of one.
    """
    run = runs / f"{condition}-{seed}"
    (run / "fold-0").mkdir(parents=True)
    rng = np.random.default_rng(seed + 7)
    rows = []
    for i in range(60):
        signed = i % 2
        truth = np.random.default_rng(i).uniform(-1, 1, 2)
        reference = np.where(truth > 0, 1, -1) if signed else truth
        if i % alike == 0:
            own = error * rng.standard_normal(2)
        answer = np.clip(truth + own, -1, 1)
        rows.append({
            "track_id": str(i), "corpus": "panda4q" if signed else "musifeast17", "group": f"g{i // artist}",
            "fold": "0", "split": "test", "label": "sign" if signed else "rating", "valence": reference[0],
            "arousal": reference[1], "valence_hat": answer[0], "arousal_hat": answer[1],
        })  # fmt: skip
    with (run / "predictions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    settings = {"batch_size": 16, "repeats": repeats or {}, "seed": seed}
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    keys = [f"musifeast17/{i}" for i in range(40)]
    keys += [f"generated-made-0/{i}" for i in range(40)] if repeats else []
    (run / "trained.csv").write_text("key\n" + "".join(f"{key}\n" for key in keys))
    (run / "fold-0" / "history.csv").write_text("epoch,loss\n" + "".join(f"{e},1\n" for e in range(epochs)))
    about = {"seconds": 10, "git_commit": "x", "command": "sentio-tf fit", "best_epochs": {"0": 2}}
    (run / "environment.json").write_text(json.dumps(about))
    (run / "metrics.json").write_text(json.dumps({"corpora": {}, "split": "abc", "protocol": "", "scale": "[-1, 1]"}))


HALF = {"musifeast17": 0.5, "generated-made-0": 0.5}


def test_conditions_differences_and_what_is_missing(tool, tmp_path):
    runs = tmp_path / "runs"
    for seed in (0, 1):
        write_run(runs, "real", seed, 0.2)
        write_run(runs, "gan", seed, 0.9, repeats=HALF)
    tool.summarize(runs)
    found = json.loads(tool.RESULT.read_text())
    assert set(found["conditions"]) == {"real", "gan"}
    assert set(found["names"]) == {"real", "augmented", "gan", "shuffled"}
    assert found["not_run"] == {"real": [2], "augmented": [0, 1, 2], "gan": [2], "shuffled": [0, 1, 2]}
    assert found["steps"] == 2 * 3  # 40 songs, or half of 80, in batches of 16
    own = {(c["axis"], c["measure"]): c for c in found["comparisons"]}
    assert set(own) == {(axis, m) for axis in ("valence", "arousal") for m in ("ccc", "side")}
    worse = own["valence", "ccc"]
    assert (worse["a"], worse["b"], worse["seeds"]) == ("gan", "real", [0, 1])
    real, gan = (found["conditions"][c]["valence_ccc"]["mean"] for c in ("real", "gan"))
    assert worse["difference"] == pytest.approx(gan - real, abs=2e-4)
    assert worse["high"] < 0
    # Holm, by hand: the smallest p counts as often as there are comparisons, no other less than one before it.
    ordered = sorted(found["comparisons"], key=lambda c: c["p"])
    adjusted, most = [], 0.0
    for left, c in zip(range(len(ordered), 0, -1), ordered, strict=True):
        most = max(most, min(1, left * c["p"]))
        adjusted.append(round(most, 4))
    assert [c["p_holm"] for c in ordered] == adjusted
    assert ordered[0]["p_holm"] >= 3 * ordered[0]["p"] > 0
    assert (tmp_path / "ablation-gan.png").stat().st_size > 0


def test_the_same_answers_do_not_differ(tool, tmp_path):
    for condition in ("real", "augmented", "gan", "shuffled"):
        write_run(tmp_path / "runs", condition, 0, 0.3)
    tool.summarize(tmp_path / "runs")
    found = json.loads(tool.RESULT.read_text())
    assert [c["difference"] for c in found["comparisons"]] == [0] * 16
    assert all(c["p"] == 1 for c in found["comparisons"])


def test_songs_of_an_artist_are_drawn_together(tool, tmp_path):
    """Ten songs that miss alike say as much as one: the same answers by fewer artists have wider intervals."""
    widths = []
    for artist in (1, 10):
        runs = tmp_path / str(artist)
        for condition, error in (("real", 0.2), ("gan", 0.6)):
            write_run(runs, condition, 0, error, alike=10, artist=artist)
        tool.summarize(runs)
        found = json.loads(tool.RESULT.read_text())
        (own,) = (c for c in found["comparisons"] if (c["axis"], c["measure"]) == ("valence", "ccc"))
        rows = found["conditions"]["gan"]["valence_ccc"]
        widths.append([own["high"] - own["low"], rows["high"] - rows["low"]])
    for single, together in zip(*widths, strict=True):
        assert together > 1.3 * single


def test_only_what_holds_among_all_comparisons_is_coloured(tool, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    colours, drawn = [], Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda self, *a, **k: colours.append(k["color"]) or drawn(self, *a, **k))
    own = {"a": "gan", "b": "real", "measure": "ccc", "low": 0.01, "high": 0.2, "difference": 0.1, "p": 0.03}
    tool.picture(
        {"comparisons": [own | {"axis": "valence", "p_holm": 0.12}, own | {"axis": "arousal", "p_holm": 0.04}]}
    )
    assert colours == [tool.UNSURE] * 2 + [tool.SURE] * 2


def test_every_seed_has_the_same_steps(tool, tmp_path):
    write_run(tmp_path / "runs", "real", 0, 0.2)
    write_run(tmp_path / "runs", "real", 1, 0.2, epochs=3)
    with pytest.raises(SystemExit, match=r"real: expected equal steps with every seed, received \[6, 9\]"):
        tool.summarize(tmp_path / "runs")


def test_unequal_steps_are_refused(tool, tmp_path):
    write_run(tmp_path / "runs", "real", 0, 0.2)
    write_run(tmp_path / "runs", "gan", 0, 0.2, epochs=3)
    with pytest.raises(SystemExit, match=r"expected equal steps in every condition, received \[6, 9\]"):
        tool.summarize(tmp_path / "runs")


def test_shuffled_labels_are_those_of_others(tool, made, tmp_path):
    from sentio_tf import corpora

    out = tmp_path / "shuffled"
    tool.shuffle(made, out, seed=0)
    rows = []
    for folder in (made, out):
        with (folder / "labels.csv").open(newline="") as file:
            rows.append(list(csv.DictReader(file)))
    labels = [[(r["valence"], r["arousal"], r["quadrant"]) for r in some] for some in rows]
    assert sorted(labels[0]) == sorted(labels[1])
    distinct = len(set(labels[0])) == len(labels[0])
    assert not distinct or all(a != b for a, b in zip(*labels, strict=True))
    tracks = [corpora.read(f"folder:{folder}") for folder in (made, out)]
    assert [t.path.resolve() for t in tracks[0]] == [t.path.resolve() for t in tracks[1]]


def test_conditions_differ_in_what_the_config_says(tool, tmp_path):
    """And every command loads; half of the draws are real where spectrograms come in."""
    plain = configuration.load(tool.HERE / tool.NETWORK)
    assert (plain.architecture["masks"], plain.augment) == (0, {})
    for condition in tool.CONDITIONS:
        words = tool.settings(condition, 1, tmp_path)
        sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        found = configuration.load(tool.HERE / tool.NETWORK, sets)
        assert found.seed == 1
        if condition == "augmented":
            assert found.architecture["masks"] == 2
            assert found.augment == {"mixup_alpha": 0.2}
        else:
            assert found.augment == {}
        made = {"gan": "generated-made-1", "shuffled": "generated-shuffled-1"}.get(condition)
        assert found.repeats == ({"musifeast17": 0.5, "panda4q": 0.5, made: 0.5} if made else {})


def test_the_table_says_what_was_found_and_what_not(tool, tmp_path, gan_run, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    results = importlib.import_module("results_gan")
    runs = tmp_path / "runs"
    write_run(runs, "real", 0, 0.2)
    write_run(runs, "gan", 0, 0.5, repeats=HALF)
    (runs / "gan").mkdir()
    (runs / "gan" / "sheets").mkdir()
    for name in ("status.json", "quality.json", "curves.png", "environment.json", "sheets/epoch-002.png"):
        (runs / "gan" / name).write_bytes((gan_run / name).read_bytes())
    tool.summarize(runs)
    table = lambda head, rows: ["| " + " | ".join(r) + " |" for r in [head, *rows]]
    text = "\n".join(results.gan(json.loads(tool.RESULT.read_text()), table))
    for wanted in (
        "| real songs only | 1 |",
        "| + SpecAugment and mixup | not run |",
        "| gan - real | 1 |",
        "Not run yet: real songs only: seeds 1, 2;",
        "| composite |",
        "Copies of training songs:",
        "(gan-curves.png)",
        "(gan-samples.png)",
    ):
        assert wanted in text, wanted
    assert (tmp_path / "gan-samples.png").stat().st_size > 0
    assert "knows how another GAN would have turned out" in text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"status": "failed", "why": "samples are all alike: 0.10", "epoch": 12},
         "The training of the GAN has failed after 12 epochs: samples are all alike: 0.10."),
        ({"status": "not trained", "epoch": 0}, "The GAN is not trained yet."),
    ],
)  # fmt: skip
def test_a_gan_without_scores_says_why(monkeypatch, status, said):
    monkeypatch.syspath_prepend(TOOLS)
    results = importlib.import_module("results_gan")
    assert results._quality({"status": status, "quality": {}}, None) == [said, ""]


@pytest.mark.slow
def test_fewer_bands_lose_more(make_music, monkeypatch):
    """In the order of the ladder, and the phases alone least of all; the band's edges cost no error within them."""
    import librosa

    tool = load("information_loss")
    sounds = [make_music(tool.SECONDS, seed=i) for i in range(2)]
    from sentio_tf.gan.scale import BandScale

    convergence, errors = {}, {}
    ways = tool.ways(BandScale(np.full(128, -30.0), np.full(128, 20.0)))
    names = (
        "all magnitudes, new phases",
        "magnitudes from 20 to 8000 Hz",
        "mel power, 128 bands",
        "mel power, 20 bands",
    )
    for name in names:
        given = [ways[name](y) for y in sounds]
        back = [librosa.griffinlim(m, n_iter=16, hop_length=512, n_fft=2048, random_state=0) for m in given]
        convergence[name], errors[name], *_ = tool.measure(sounds, back)
    assert list(convergence.values()) == sorted(convergence.values())
    every, within, bands, few = errors.values()
    assert within == pytest.approx(every, rel=0.25)
    assert within < bands < few
