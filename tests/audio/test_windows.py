import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.audio.windows import MIN_TAIL_S, windows

RATE = 100  # small numbers: the rule does not depend on the rate


def cut(total, hop_s=1.5, size=300, block=70):
    signal = np.arange(total, dtype=np.float32)
    blocks = [signal[i : i + block] for i in range(0, total, block)]
    return list(windows(blocks, size=size, hop_s=hop_s, sample_rate=RATE))


@settings(deadline=None, max_examples=200)
@given(
    total=st.integers(1, 5000),
    hop=st.integers(1, 300),
    block=st.integers(1, 700),
)
def test_every_file_gives_full_windows_that_cover_it(total, hop, block):
    found = cut(total, hop_s=hop / RATE, block=block)
    assert found, "never an empty answer"
    assert all(len(w.samples) == 300 for w in found)
    assert found[0].start_s == 0
    starts = [w.start_s for w in found]
    assert starts == sorted(starts)
    # No gap, and at most the documented tail is left over.
    for before, after in itertools.pairwise(found):
        assert after.start_s <= before.end_s
    assert total / RATE - found[-1].end_s <= MIN_TAIL_S
    # What a window says it holds is what it holds.
    for w in found:
        first = round(w.start_s * RATE)
        expected = np.arange(first, first + 300) if total >= 300 else np.resize(np.arange(total), 300)
        np.testing.assert_array_equal(w.samples, expected)


@settings(deadline=None, max_examples=50)
@given(total=st.integers(1, 3000), a=st.integers(1, 900), b=st.integers(1, 900))
def test_blocks_do_not_matter(total, a, b):
    one, other = cut(total, block=a), cut(total, block=b)
    assert [w.start_s for w in one] == [w.start_s for w in other]
    for x, y in zip(one, other, strict=True):
        np.testing.assert_array_equal(x.samples, y.samples)


def test_tail_rule():
    assert [w.start_s for w in cut(450)] == [0, 1.5]
    assert [w.start_s for w in cut(399)] == [0]  # .99 s of tail is not worth a window
    assert [w.start_s for w in cut(420)] == [0, 1.2]  # the last window ends with the file


def test_short_file_is_repeated_and_says_so():
    (window,) = cut(120)
    assert window.repeated
    assert (window.start_s, window.end_s) == (0, 1.2)
    np.testing.assert_array_equal(window.samples[120:240], window.samples[:120])


def test_nothing_in_nothing_out():
    assert list(windows([])) == []


@pytest.mark.parametrize("hop", [0, -1, 3.5, float("nan")])
def test_hop_must_fit(hop):
    with pytest.raises(ValueError, match=r"hop|NaN"):
        list(windows([np.zeros(10, np.float32)], size=300, hop_s=hop, sample_rate=RATE))


def test_memory_stays_bounded():
    """The generator keeps two windows at most, however long the stream."""
    import tracemalloc

    def stream():
        for _ in range(400):
            yield np.zeros(5000, np.float32)

    tracemalloc.start()
    for _ in windows(stream(), size=30_000, hop_s=1.0, sample_rate=15_000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 30_000 * 4
