import json
import shutil

import numpy as np
import pytest

from sentio_tf.errors import ConfigError, DataError
from sentio_tf.gan import listen
from sentio_tf.gan.report import lines
from sentio_tf.gan.score import score

from .conftest import quiet


def test_new_samples_and_a_corpus_are_judged_alike(gan_run, made, source, cache):
    found = score(gan_run, [source], samples=8, cache=cache, report=quiet)
    of_corpus = score(gan_run, [source], corpus=made, cache=cache, report=quiet)
    assert found["samples"]["generated"] == 8
    assert of_corpus["samples"]["generated"] == 8
    assert set(found) == set(of_corpus)
    for one in (found, of_corpus):
        assert (one["unsound"], one["fidelity_filtered"]) == ("", False)
    text = "\n".join(lines(found))
    for word in ("composite", "ceiling", "floor", "valence CCC", "nearest training song"):
        assert word in text


def test_data_without_its_songs(gan_run, made, cache, make_table, songs, tmp_path):
    other = tmp_path / "songs"
    shutil.copytree(songs, other)
    text = (other / "labels.csv").read_text().splitlines()
    (other / "labels.csv").write_text("\n".join(text[:-10]))
    with pytest.raises(DataError, match=r"expected the songs that it was trained on, received data without .* missing"):
        score(gan_run, [f"folder:{other}"], cache=cache, report=quiet)


def test_a_folder_that_is_no_corpus_of_samples(gan_run, source, songs, cache):
    with pytest.raises(DataError, match="expected how a corpus of gan sample was drawn, received none that reads"):
        score(gan_run, [source], corpus=songs, cache=cache, report=quiet)


@pytest.fixture
def copy(made, tmp_path):
    """A corpus whose provenance may be changed."""
    shutil.copytree(made, tmp_path / "made")
    about = json.loads((made / "gan.json").read_text())
    return lambda **more: (tmp_path / "made" / "gan.json").write_text(json.dumps(about | more)) and tmp_path / "made"


def test_a_corpus_of_too_few(gan_run, copy, source, cache):
    corpus = copy()
    lines = (corpus / "labels.csv").read_text().splitlines()
    (corpus / "labels.csv").write_text("\n".join(lines[:5]))
    with pytest.raises(DataError, match="expected a corpus of gan sample with 8 spectrograms or more, received 4"):
        score(gan_run, [source], corpus=corpus, cache=cache, report=quiet)


def test_a_corpus_of_another_gan_is_refused(gan_run, copy, source, cache):
    with pytest.raises(DataError, match=r"expected a corpus that the GAN of .* made \(.*received another's \(abc\)"):
        score(gan_run, [source], corpus=copy(gan="abc"), cache=cache, report=quiet)


def test_what_weakens_a_score_is_said_with_it(gan_run, copy, source, cache):
    """By whom the corpus was chosen, and that its GAN is of no use."""
    found = score(
        gan_run, [source], corpus=copy(tolerance=2.0, unsound="a training that failed: lost"), cache=cache, report=quiet
    )
    assert found["fidelity_filtered"]
    assert found["unsound"] == "a training that failed: lost"
    text = "\n".join(lines(found))
    assert "they are no evidence for its labels" in text
    assert "warning: of a GAN from a training that failed: lost" in text


def test_counts_out_of_range(gan_run, source, cache):
    with pytest.raises(ConfigError, match="8 samples and 2 sounds or more, received 4 and 32"):
        score(gan_run, [source], samples=4, cache=cache, report=quiet)


# -- sound ------------------------------------------------------------------------------------------


def test_griffin_lim_sounds_like_its_spectrogram(make_music):
    """The log-mel of what it makes is that of what it was given, but for what phases of its own cannot meet."""
    from sentio_tf.audio.mel import log_mel

    mel = log_mel(make_music(4))
    sound = listen.griffin_lim(mel)
    again = log_mel(sound)
    frames = min(mel.shape[1], again.shape[1])
    loud = mel[:, :frames] > mel.max() - 40
    error = np.abs(mel[:, :frames] - again[:, :frames])[loud]
    assert np.median(error) < 1.5
    np.testing.assert_array_equal(sound, listen.griffin_lim(mel))


def test_magnitudes_give_the_mel_power_back(rng):
    """Where no power had to be cut, the filter bank undoes the pseudo-inverse."""
    from sentio_tf.audio.mel import filterbank

    first, last, weights = filterbank()
    power = rng.uniform(0.5, 1, (1025, 3))
    mel = 10 * np.log10(weights.T @ power[first:last])
    back = weights.T @ (listen.magnitude(mel)[first:last].astype(np.float64) ** 2)
    assert np.median(np.abs(10 * np.log10(back) - mel)) < 0.5


class Ear:
    """Mean and spread of the waveform: what a distance of sounds can be checked on."""

    def embed(self, sounds):
        return np.concatenate([np.stack([y[: len(y) // 4 * 4].reshape(4, -1).std(1), np.ones(4)], 1) for y in sounds])


def test_audio_distance_has_a_ceiling_a_floor_and_the_price_of_phases(make_music, rng):
    from sentio_tf.audio.mel import log_mel

    sounds = [make_music(2, seed=i) for i in range(6)]
    mels = [log_mel(y) for y in sounds]
    loud = [m + 20 for m in mels[:2]]
    found = listen.audio_distance(Ear(), mels[:4], mels[4:], mels[:2], loud, sounds[:4])
    assert found["patches"] == 16
    assert found["floor"] > found["generated"]
    assert found["floor"] > found["ceiling"]
    assert found["phase"] >= 0


@pytest.mark.slow
@pytest.mark.network
def test_musicnn_hears_noise_further_from_music_than_music(make_music, tmp_path, rng):
    ear = listen.Ear(tmp_path)
    music = [make_music(9, seed=i) for i in range(4)]
    a, b = ear.embed(music[:2]), ear.embed(music[2:])
    noise = ear.embed([0.1 * rng.standard_normal(9 * 22_050).astype(np.float32) for _ in range(2)])
    assert a.shape[1] == 200
    from sentio_tf.gan.quality import frechet

    assert frechet(a, noise) > frechet(a, b)
