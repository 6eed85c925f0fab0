import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from sentio_tf.gan import copies, quality
from sentio_tf.gan.copies import Windows, memorisation
from sentio_tf.gan.profile import profile
from sentio_tf.gan.reader import Reader

FRAMES = 200


def music(count: int, seed: int) -> list[np.ndarray]:
    """Smooth log-mels with bands that move together, of different levels."""
    rng = np.random.default_rng(seed)
    tilt = np.linspace(20, -40, 128)[:, None]
    found = []
    for _ in range(count):
        slow = np.cumsum(rng.standard_normal((8, FRAMES)), axis=1) * 0.7
        bands = np.repeat(slow, 16, axis=0) + np.cumsum(rng.standard_normal((128, FRAMES)), axis=1) * 0.2
        found.append(tilt + 6 * rng.standard_normal() + bands)
    return found


@pytest.fixture(scope="module")
def real():
    return profile(music(60, 0))


@pytest.fixture(scope="module")
def other():
    return profile(music(60, 1))


def test_weights_are_the_documented_ones():
    assert quality.WEIGHTS == {"frechet": 0.3, "moments": 0.2, "smoothness": 0.2, "correlation": 0.15, "range": 0.15}
    assert sum(quality.WEIGHTS.values()) == pytest.approx(1)


def test_music_against_itself_is_one(real):
    for name, value in quality.composite(real, real).items():
        assert value == pytest.approx(1, abs=1e-3), name


def test_real_is_the_ceiling_and_noise_the_floor(real, other):
    noise = profile(quality.noise(real.mean.mean(0), real.std.mean(0), 60, frames=FRAMES, seed=0))
    high, low = (quality.composite(real, p) for p in (other, noise))
    assert high["composite"] > 0.85
    assert low["composite"] < high["composite"] - 0.2
    assert low["smoothness"] < 0.5 < high["smoothness"]
    assert low["correlation"] < 0.2 < high["correlation"]


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-80, 80))
@settings(max_examples=6, deadline=None)
def test_every_term_is_between_nothing_and_one(seed, scale, level):
    rng = np.random.default_rng(seed)
    some = profile(scale * rng.standard_normal((7, 128, 100)) + level)
    others = profile(rng.standard_normal((9, 128, 100)).cumsum(axis=2))
    for name, value in quality.composite(others, some).items():
        assert 0 <= value <= 1, name


def test_a_constant_spectrogram_has_a_score_and_no_warning(real):
    flat = profile([np.full((128, FRAMES), -20.0)] * 4)
    assert quality.composite(real, flat)["correlation"] == 0
    assert quality.diversity(flat, real) == pytest.approx(0, abs=1e-5)


# -- the Frechet distance ---------------------------------------------------------------------------


def test_frechet_of_two_shrunk_normals_is_the_closed_form(rng):
    """Against the formula with a matrix square root of scipy."""
    from sklearn.covariance import ledoit_wolf

    a = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 4))
    b = rng.standard_normal((200, 4)) @ rng.standard_normal((4, 4)) + 1
    first, second = ledoit_wolf(a)[0], ledoit_wolf(b)[0]
    apart = a.mean(0) - b.mean(0)
    wanted = apart @ apart + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert quality.frechet(a, b) == pytest.approx(wanted, rel=1e-6)
    assert quality.frechet(a, b) == pytest.approx(quality.frechet(b, a), rel=1e-6)


def test_frechet_of_a_shift_is_its_square(rng):
    a = rng.standard_normal((100, 3))
    assert quality.frechet(a, a + np.array([3, 0, 4])) == pytest.approx(25, rel=1e-6)
    assert quality.frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_with_fewer_samples_than_dimensions_is_finite(rng):
    """Shrunk covariances are never singular; without shrinkage this has no square root."""
    assert np.isfinite(quality.frechet(rng.standard_normal((5, 40)), rng.standard_normal((6, 40))))


def test_frechet_takes_pairs_of_columns(rng):
    with pytest.raises(ValueError, match=r"expected \(n, k\)"):
        quality.frechet(rng.standard_normal((5, 4)), rng.standard_normal((5, 3)))


@pytest.mark.parametrize(("count", "wanted"), [(500, 48), (96, 48), (95, 24), (48, 24), (47, 12), (6, 3), (2, 3)])
def test_an_embedding_has_two_samples_a_dimension(count, wanted):
    assert quality.dimensions(count, 1000) == wanted


# -- copies -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    return Windows.of(enumerate(music(60, 0)))


def louder(x: np.ndarray) -> np.ndarray:
    return x + 5


def moved(share: float):
    return lambda x: np.roll(x, round(share * x.shape[1]), axis=1)


COPIES = ("as it was", "2 % later", "5.3 % later", "25 % later", "louder")


@pytest.mark.parametrize("how", [moved(0), moved(0.02), moved(0.053), moved(0.25), louder], ids=COPIES)
def test_copies_are_found(known, other, how):
    """At their place or moved, as training moves what the discriminator sees, and at another level."""
    rng = np.random.default_rng(9)
    noisy = profile(how(x) + 0.3 * rng.standard_normal(x.shape) for x in music(60, 0)[:40])
    found = memorisation(noisy, known, other)
    assert found["verdict"] == "copies"
    assert found["near"] > 0.9
    assert found["copied"] > 0.9


def test_a_copy_of_any_place_of_a_song_is_found(other):
    """Songs that are longer than what is made of them: windows lie half over each other."""
    songs = [np.concatenate(pair, axis=1) for pair in zip(music(40, 3), music(40, 4), strict=True)]
    known = Windows.of(
        (k, x[:, i : i + FRAMES]) for k, x in enumerate(songs) for i in range(0, FRAMES + 1, FRAMES // 2)
    )
    cut = profile(x[:, 40 : 40 + FRAMES] for x in songs)
    assert known.small.shape == (2 * 3 * 40, 16, 81)
    assert memorisation(cut, known, other)["verdict"] == "copies"


def test_distances_are_the_least_over_all_shifts(rng):
    a, b = (x - x.mean(axis=(1, 2), keepdims=True) for x in (rng.standard_normal((k, 16, 81)) for k in (3, 5)))
    song = np.array([0, 0, 1, 1, 2])
    wanted = [
        [min(np.linalg.norm(x - np.roll(y, s, axis=1)) for y in b[song == k] for s in range(81)) for k in range(3)]
        for x in a
    ]
    found = copies._to_songs(a, Windows(b, song), np.ones(16))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_other_songs_are_no_copies(known, other):
    found = memorisation(profile(music(60, 2)), known, other)
    assert found["verdict"] == "no copies"
    assert found["copied"] < 0.15
    assert found["songs"] == 60


def test_a_blurred_mean_is_near_and_no_copy(known, other):
    """Near to every song, nearest to none: what the distance alone would call a copy."""
    blur = np.mean(music(60, 0), axis=0)
    rng = np.random.default_rng(1)
    found = memorisation(profile(blur + 0.1 * rng.standard_normal(blur.shape) for i in range(20)), known, other)
    assert found["near"] > 0.9
    assert found["verdict"] == "no copies"


def test_one_training_song_is_not_enough(other):
    with pytest.raises(ValueError, match="two training songs"):
        memorisation(other, Windows.of((0, x) for x in music(3, 0)), other)


def test_one_picture_a_condition_has_no_diversity(real):
    """Four pictures, one a quadrant, are far from each other: within a condition they are one."""
    four = music(4, 5)
    mels = profile(four[i % 4] for i in range(16))
    conditions = np.array([[(-1) ** (i % 2), (-1) ** (i // 2 % 2)] for i in range(16)]) * 0.5
    assert quality.diversity(mels, real) > 0.3
    assert quality.diversity(mels, real, conditions) == pytest.approx(0, abs=1e-5)
    assert quality.diversity(mels, real, np.arange(32).reshape(16, 2)) is None, "no condition comes twice"


def levels_of(train, held, made, known, asked, **given):
    labels = [np.random.default_rng(k).uniform(-1, 1, (len(some), 2)) for k, some in enumerate((train, held))]
    floor = profile(quality.noise(np.zeros(128), np.ones(128), 12, frames=FRAMES, seed=0))
    return quality.levels(train, held, made, floor, known, labels=[*labels, asked], **given)


def test_a_picture_a_rated_condition_has_no_diversity(real, other, known):
    """Ratings are all different: the diversity is of twins, drawn for it, and of nothing where there are none."""
    asked = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    pictures = music(12, 5)
    made = profile(pictures)
    same = profile(pictures[i // 4] for i in range(16)), np.repeat(asked[:4], 4, axis=0)
    found = levels_of(real, other, made, known, asked, twins=same)
    assert found["generated"]["diversity"] == pytest.approx(0, abs=1e-5)
    assert found["ceiling"]["diversity"] is None
    without = levels_of(real, other, made, known, asked)
    assert without["generated"]["diversity"] is None
    assert without["generated"]["composite"] == found["generated"]["composite"]


def test_the_ceiling_is_of_a_draw_of_held_songs(real, other, known):
    """Songs come corpus by corpus: the first of them are not what all are."""
    held = profile([*music(20, 7), *(x - 30 for x in music(20, 8))])
    asked = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    found = levels_of(real, held, profile(music(20, 9)), known, asked)
    first = quality.composite(real, held.take(np.arange(20)), limit=found["dimensions"])["composite"]
    assert found["samples"]["compared"] == 12
    assert found["ceiling"]["composite"] < first - 0.02


def test_diversity_is_a_share_of_musics(real, other):
    assert quality.diversity(real, real) == pytest.approx(1)
    assert quality.diversity(other, real) == pytest.approx(1, abs=0.15)
    one = music(1, 5)[0]
    assert quality.diversity(profile(one + 0.01 * i for i in range(10)), real) < 0.05


# -- profiles ---------------------------------------------------------------------------------------


def test_a_profile_is_numpys_statistics(rng):
    x = rng.standard_normal((128, 1292)) * 5 - 30
    of = profile([x[:, :, None]])
    np.testing.assert_allclose(of.mean[0], x.mean(1), rtol=1e-5)
    np.testing.assert_allclose(of.step[0], np.abs(np.diff(x, axis=1)).mean(1), rtol=1e-5)
    np.testing.assert_allclose(of.correlation[0], np.corrcoef(x), atol=1e-5)
    np.testing.assert_allclose(of.small[0, 3, :2], [x[24:32, 0:15].mean(), x[24:32, 15:31].mean()], rtol=1e-4)
    assert of.bands.shape == (1, 384)
    assert of.small.shape == (1, 16, 81)


def test_nothing_and_nan_are_no_profile():
    with pytest.raises(ValueError, match="Received: none"):
        profile([])
    with pytest.raises(ValueError, match="1 values that are not"):
        profile([np.where(np.arange(128 * 90).reshape(128, 90) == 5, np.nan, 0.0)])
    with pytest.raises(ValueError, match=r"81 frames or more\. Received: 80"):
        profile([np.zeros((128, 80))])


# -- the reader of labels ---------------------------------------------------------------------------


def labels_of(of) -> np.ndarray:
    """Level and movement: what a linear reader can hear."""
    level = of.mean.mean(1)
    return np.tanh(np.stack([(level + 10) / 12, (of.step.mean(1) - of.step.mean()) * 20], axis=1))


def test_the_reader_hears_what_is_linear_and_not_what_is_shuffled(tmp_path):
    held, train = profile(music(100, 10)), profile(music(60, 11))
    reader = Reader.fit(held, labels_of(held), train, labels_of(train))
    found = reader.fidelity(train, labels_of(train))
    assert found["valence"]["ccc"] > 0.8
    assert abs(found["valence"]["shuffled"]) < 0.4
    reader.save(tmp_path)
    again = Reader.load(tmp_path)
    np.testing.assert_array_equal(again.read(train), reader.read(train))
    wanted = np.sqrt(((reader.read(train) - labels_of(train)) ** 2).mean(0))
    np.testing.assert_allclose(reader.rmse, wanted)


def test_distances_are_in_errors_of_the_reader():
    reader = Reader(np.zeros((384, 2)), np.zeros(2), np.array([0.1, 0.2]))
    np.testing.assert_allclose(reader.far(np.array([[0.1, 0.2]]), np.zeros((1, 2))), 1)
    np.testing.assert_allclose(reader.far(np.array([[0.2, 0.0]]), np.zeros((1, 2))), np.sqrt(2))
