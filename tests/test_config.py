import dataclasses
from pathlib import Path

import pytest
import yaml

from sentio_tf import config
from sentio_tf.errors import ConfigError


def test_file_then_overrides(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("epochs: 3\nlearning_rate: 1\narchitecture: {size: xs, dropout: 0.2}\n")
    found = config.load(file, ["epochs=7", "architecture.size=s", "repeats.emopia=0.5"])
    assert found.epochs == 7
    assert found.learning_rate == 1.0
    assert found.architecture == {"size": "s", "dropout": 0.2}
    assert found.repeats == {"emopia": 0.5}


def test_what_is_dumped_loads_again(tmp_path):
    one = config.load(None, ["folds=5", "repeats.a=2"])
    file = tmp_path / "a.yaml"
    file.write_text(config.dump(one))
    assert config.load(file) == one


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "expected key=value"),
        ("epoch=3", "unknown key 'epoch'"),
        ("epochs=3.5", "epochs: expected int"),
        ("epochs=true", "epochs: expected int"),
        ("epochs=0", "out of range"),
        ("folds=1", "out of range"),
        ("normalization=max", "out of range"),
        ("validation=0.9", "out of range"),
        ("learning_rate=fast", "expected float"),
        ("learning_rate=.inf", "learning_rate: expected float, a finite one, received inf"),
        ("weight_decay=.nan", "weight_decay: expected float, a finite one, received nan"),
        ("weight_decay=[1]", "weight_decay: expected float"),
        (f"clip_norm={10**400}", "clip_norm: expected float, a finite one"),
        ("repeats.emopia=.inf", "repeats.emopia: expected float, a finite one, received inf"),
        ("repeats={emopia:0.5}", "repeats.emopia:0.5: expected float, a finite one, received None"),
        ("model=[", "expected a YAML value"),
        ("seed=-1", "out of range"),
        ("seed=5000000000", "out of range"),
    ],
)
def test_wrong_values(override, message):
    with pytest.raises(ConfigError, match=message):
        config.load(None, [override])


def test_a_misspelt_term_has_the_nearest_as_a_hint():
    with pytest.raises(
        ConfigError, match=r"terms: unknown key 'attentin'; did you mean attention\? known are hard, soft"
    ):
        config.load(None, ["terms.attentin=1"], config.DistillConfig)
    with pytest.raises(ConfigError, match=r"terms.soft: expected float, a finite one, received inf"):
        config.load(None, ["terms.soft=.inf"], config.DistillConfig)


@pytest.mark.parametrize("text", ["- a", "a: [", "\xff"])
def test_wrong_files(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="expected"):
        config.load(file)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        config.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[1] / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configs_load_and_say_where_they_come_from(file):
    values = yaml.safe_load(file.read_text())
    if "model" not in values:
        kind = config.GanConfig
    elif values["model"] in config.CLASSICAL:
        kind = config.ClassicalConfig
    else:
        kind = config.DistillConfig if "terms" in values else config.FitConfig
    config.load(file, kind=kind)
    head = file.read_text().split("\n\n")[0]
    for word in ("Source:", "Command:", "Time:", "Expect:"):
        assert word in head, f"{file.name} does not say its {word}"


def test_every_field_is_documented():
    text = (Path(__file__).parents[1] / "docs" / "config.md").read_text()
    for field in (*dataclasses.fields(config.DistillConfig), *dataclasses.fields(config.ClassicalConfig)):
        assert f"`{field.name}`" in text, f"docs/config.md lacks {field.name}"


def test_cache_root(monkeypatch):
    monkeypatch.setenv("SENTIO_CACHE", "/x/y")
    assert config.cache_root() == Path("/x/y")
    monkeypatch.delenv("SENTIO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/z")
    assert config.cache_root() == Path("/z/sentio-tf")


def test_dump_is_yaml():
    assert yaml.safe_load(config.dump(config.FitConfig()))["model"] == "mobilevit"


# Of models; a GAN's has none.
FILES = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))
CONFIGS = [f for f in FILES if "model" in yaml.safe_load(f.read_text())]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda f: f.stem)
def test_every_recipe_fits_its_model(file):
    """Arguments that the model takes, crops that a chunk fits into, a schedule of stages that there are."""
    import inspect

    from sentio_tf.models import MODELS, SOURCES, STAGES
    from sentio_tf.training.build import extent

    values = yaml.safe_load(file.read_text())
    model = values["model"]
    if model in config.CLASSICAL:
        assert config.load(file, kind=config.ClassicalConfig).model == model
        return
    found = config.load(file, kind=config.DistillConfig if "terms" in values else config.FitConfig)
    taken = inspect.signature(MODELS[model]).parameters
    assert set(found.architecture) <= set(taken)
    assert not found.weights or model in SOURCES
    assert not found.unfreeze or model in STAGES
    size = extent(model, found.crop_s)
    assert set(size) <= set(taken)
    if model == "sample_cnn":
        from sentio_tf.layers.chunks import chunk_starts
        from sentio_tf.models.sample_cnn import CHUNK

        covered = len(chunk_starts(size["samples"], CHUNK)) * CHUNK / size["samples"]
        assert covered < 1.1, f"{file.name}: chunks overlap by {covered - 1:.0%}; choose another crop_s"


def test_numbers_as_people_write_them():
    assert config.load(None, ["learning_rate=1e-4"]).learning_rate == 1e-4
    assert config.load(None, ["unfreeze={1: 0, 5: all}"]).unfreeze == {1: 0, 5: "all"}
    assert config.load(None, ["unfreeze.1=0", "unfreeze.5=4"]).unfreeze == {1: 0, 5: 4}


@pytest.mark.parametrize("wrong", ["unfreeze={0: 1}", "unfreeze={1: some}", "unfreeze={31: 1}", "unfreeze={1: -1}"])
def test_schedules_that_make_no_sense(wrong):
    with pytest.raises(ConfigError, match="unfreeze"):
        config.load(None, [wrong])


def test_a_misspelt_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown key 'unfreez'; did you mean unfreeze\?"):
        config.load(None, ["unfreez={1: 0}"])
