import dataclasses
from pathlib import Path

import pytest

from sentio_tf import config
from sentio_tf.errors import ConfigError
from sentio_tf.gan import networks
from sentio_tf.gan.objectives import OBJECTIVES

DOCS = Path(__file__).parents[2] / "docs" / "gan.md"


def test_every_field_is_documented():
    text = DOCS.read_text()
    for field in dataclasses.fields(config.GanConfig):
        assert f"`{field.name}`" in text, f"docs/gan.md lacks {field.name}"


def test_choices_are_those_of_the_modules():
    for size in networks.SIZES:
        assert config.load(None, [f"size={size}"], config.GanConfig).size == size
    for objective in OBJECTIVES:
        assert config.load(None, [f"objective={objective}"], config.GanConfig).objective == objective
    for condition in networks.CONDITIONS:
        assert config.load(None, [f"condition={condition}"], config.GanConfig).condition == condition


@pytest.mark.parametrize(
    "wrong",
    [
        "size=huge", "objective=wgan", "condition=none", "batch_size=1", "generator_updates=0", "learning_rate=0",
        "beta_1=1", "clip_norm=0", "label_smoothing=0.5", "instance_noise=2", "ema=1", "sign_value=0", "win=0.4",
        "collapse=0.96", "min_loss=0.6", "min_diversity=1", "patience=0", "judge_every=0", "judge_samples=4",
        "epochs=0", "validation=0.9", "folds=1", "grid=0", "cache_bits=12", "seed=-1", "beta_2=1",
    ],
)  # fmt: skip
def test_values_out_of_range(wrong):
    name = wrong.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{name}: .*out of range"):
        config.load(None, [wrong], config.GanConfig)


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown key 'objectiv'; did you mean objective\?"):
        config.load(None, ["objectiv=bce"], config.GanConfig)
