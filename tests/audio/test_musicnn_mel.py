import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sentio_tf.audio.musicnn_mel import PATCH_FRAMES, musicnn_mel, patches


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
@pytest.mark.parametrize("samples", [1, 100, 512, 16_000, 50_001])
def test_it_is_librosas(make_music, samples):
    y = make_music(4, rate=16_000)[:samples]
    power = librosa.feature.melspectrogram(y=y, sr=16_000, n_fft=512, hop_length=256, n_mels=96)
    mel = musicnn_mel(y)
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, np.log10(1 + 10_000 * power).T, atol=1e-5)


def test_silence_is_zero():
    assert not musicnn_mel(np.zeros(16_000, np.float32)).any()


def test_full_scale_stays_finite():
    """The network's own package rounds to half precision, where 10000 times the power of loud music is infinite."""
    y = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    mel = musicnn_mel(y)
    assert np.isfinite(mel).all()
    assert 10.0 ** mel.max() > np.finfo(np.float16).max


@settings(deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 700), st.just(2)), elements=st.floats(0, 9, width=32)))
def test_patches_cover_the_clip(mel):
    cut = patches(mel)
    assert cut.shape[1:] == (PATCH_FRAMES, 2)
    n, rest = divmod(len(mel), PATCH_FRAMES)
    if n == 0:  # repeated from its start on
        assert len(cut) == 1
        np.testing.assert_array_equal(cut[0], mel[np.arange(PATCH_FRAMES) % len(mel)])
        return
    np.testing.assert_array_equal(cut[:n].reshape(-1, 2), mel[: n * PATCH_FRAMES])
    assert len(cut) == n + (rest > 62.5)  # a second is 62.5 frames
    np.testing.assert_array_equal(cut[-1], mel[len(mel) - PATCH_FRAMES :] if rest > 62.5 else cut[n - 1])
