"""A live timeline: sound comes in blocks of any length, and about every second its last window is judged.

What was computed is used again.  A log-mel frame holds `n_fft` samples around its centre, so all frames of a window
but those at its two ends are frames of the next window, too: new sound goes through the signature `front_end` once,
a chunk of `card.stream.frames` at a time, and the network judges the last 30 s of frames.  The frames at the ends
hold zeros where the window ends, in `predict`; those are made again for each answer, both ends in one chunk.  So every
answer is that of `predict` on the same samples.  docs/export.md says it in steps, for other languages.
"""

from __future__ import annotations

import math

import numpy as np

from ..audio.decode import ABSURD_PEAK
from ..audio.windows import MIN_TAIL_S
from ..contract import Segment
from ..errors import AudioError, ConfigError, ModelError
from .engine import Answer, Engine, Stages


class Stream:
    """Windows of a stream as `audio.windows` cuts them from a file, with a hop of `steps` steps.

    Memory is that of a window (3 MB) beside the model's, however long the stream.

    Args:
        engine: a model with the signatures of a stream.
        steps: between answers, in chunks of the model's front end (`card.stream.frames` hops, .998 s).
        incremental: False judges each window by the whole model: all that older exports and networks that take sound
            can do.  It costs a window a step, which is a second then.
        eager: answer after every step from the first on.  Until a window was heard, what there is is repeated to fill
            it, as `predict` does with a short file, by the whole model: early answers cost more, and jump.

    Raises: ModelError if the model cannot do it; ConfigError unless a step is at least one chunk and at most a window.
    """

    def __init__(self, engine: Engine, *, steps: int = 1, eager: bool = False, incremental: bool = True):
        card = engine.card
        self._engine, self._eager = engine, eager
        self._rate, self._size, self._silence = card.audio.sample_rate, card.audio.samples, card.windows.silence_peak
        self._stages = engine.stages() if incremental else None
        chunk = self._plan(self._stages) if self._stages else self._rate
        most = self._size // chunk
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= most:
            raise ConfigError(f"expected steps from 1 to {most}, received {steps!r}")
        self._step = steps * chunk  # samples
        taken = self._stages.samples if self._stages else chunk
        self._sound = np.zeros(self._size + max(self._size // 4, 2 * taken), np.float32)
        self.reset()

    def _plan(self, stages: Stages) -> int:
        """Which frames of a window are made when; returns the samples of a chunk.  Raises: ModelError."""
        spec = stages.spec
        # Frames first .. last of a window hold nothing but its sound.
        hop, half = spec.hop_length, spec.n_fft // 2
        self._first, self._last = math.ceil(half / hop), (self._size - half) // hop
        self._frames = spec.frames(self._size)
        # In the chunk of both ends: where the second begins, in frames.
        self._second = math.ceil((spec.n_fft + (self._first - 1) * hop) / hop)
        needed = self._second + self._frames - 1 - self._last
        if stages.frames < needed or self._size < stages.samples:
            raise ModelError(
                f"{self._engine.path}: expected a card with stream.frames of {needed} or more and windows of "
                f"{stages.samples} samples or more, received {stages.frames} and {self._size}; export it again"
            )
        self._mel = np.zeros((spec.n_mels, self._frames), np.float32)
        return stages.step

    def reset(self) -> None:
        """Forget what was heard: a new stream begins."""
        # In `_sound`, behind the last sample heard.  What lies before the first one no answer sees: frames that reach
        # so far are ends of the first window, and made again.
        self._end = self._size
        self._heard = self._judged = 0  # samples, since the beginning
        if self._stages:
            # Chunks end so that one of them ends with the last whole frame of each window.
            spec, chunk = self._stages.spec, self._stages.frames
            frames = (self._last + 1) % chunk or chunk
            self._next_chunk = (frames - 1) * spec.hop_length + spec.n_fft // 2
        self._next_answer = min(self._step, self._size) if self._eager else self._size

    @property
    def incremental(self) -> bool:
        """Whether frames are used again; otherwise each answer costs a whole window."""
        return self._stages is not None

    @property
    def step_s(self) -> float:
        """Seconds between answers."""
        return self._step / self._rate

    @property
    def heard_s(self) -> float:
        """Seconds heard so far."""
        return self._heard / self._rate

    def push(self, samples: np.ndarray) -> list[Segment]:
        """Hear what comes next, and judge every window that it completes.

        Args:
            samples: float32 `(n,)`, mono, in [-1, 1], at `card.audio.sample_rate`; any n.

        Returns: one segment a completed window, in order; none for windows of silence.

        Raises: AudioError for samples of another type or shape, NaN, infinity, or values far outside [-1, 1]: nothing
            of them was heard then.  ModelError if the model answers NaN.
        """
        samples = self._checked(samples)
        found: list[Segment] = []
        at = 0
        while at < len(samples):
            due = min(self._next_chunk, self._next_answer) if self._stages else self._next_answer
            part = samples[at : at + due - self._heard]
            at += len(part)
            self._hear(part)
            if self._stages and self._heard == self._next_chunk:
                self._add_frames(self._stages)
                self._next_chunk += self._stages.step
            if self._heard == self._next_answer:
                if self._stages and self._heard >= self._size:
                    found += self._judge(self._stages)
                else:
                    found += self._judge_whole()
                end = self._heard + self._step
                self._next_answer = min(end, self._size) if self._heard < self._size else end
        return found

    def finish(self) -> list[Segment]:
        """The stream is over: judge what `audio.windows` would judge of a file that ends here, and `reset`.

        If more than `MIN_TAIL_S` came since the last window (steps of two and more), one more window ends with the
        stream; if there was none, nor an early answer, what was heard is repeated to fill one.  Raises: as `push`.
        """
        left = self._heard - self._judged
        found = self._judge_whole() if left > (MIN_TAIL_S * self._rate if self._judged else 0) else []
        self.reset()
        return found

    def _checked(self, samples: np.ndarray) -> np.ndarray:
        if not isinstance(samples, np.ndarray) or samples.dtype != np.float32 or samples.ndim != 1:
            received = f"{samples.dtype} {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
            raise AudioError(
                f"expected mono samples as a float32 array (n,) in [-1, 1], received {received}; "
                "take the mean of channels, divide integers by their full scale"
            )
        if samples.size:
            peak = max(float(samples.max()), -float(samples.min()))  # NaN and inf come through
            where = f"in the block that begins at {self.heard_s:.2f} s"
            if not math.isfinite(peak):
                raise AudioError(f"expected finite samples, received NaN or inf {where}; leave it out or send zeros")
            if peak > ABSURD_PEAK:
                raise AudioError(
                    f"expected samples in [-1, 1], received {peak:.3g} {where}; scale them (integers stored as floats?)"
                )
        return samples

    def _hear(self, part: np.ndarray) -> None:
        if self._end + len(part) > len(self._sound):
            self._sound[: self._size] = self._sound[self._end - self._size : self._end]
            self._end = self._size
        np.clip(part, -1.0, 1.0, out=self._sound[self._end : self._end + len(part)])
        self._end += len(part)
        self._heard += len(part)

    def _latest(self, samples: int) -> np.ndarray:
        return self._sound[self._end - samples : self._end]

    def _add_frames(self, stages: Stages) -> None:
        """Frames of the sound that came since the last call; the oldest leave."""
        new, last = stages.frames, self._last
        self._mel[:, : last + 1 - new] = self._mel[:, new : last + 1]
        self._mel[:, last + 1 - new : last + 1] = stages.front_end(self._latest(stages.samples))

    def _add_ends(self, stages: Stages) -> None:
        """Frames 0 .. first - 1 and last + 1 .. of the window that ends now, with zeros beyond it."""
        spec, window = stages.spec, self._latest(self._size)
        hop, half = spec.hop_length, spec.n_fft // 2
        chunk = np.zeros(stages.samples, np.float32)
        chunk[half : spec.n_fft + (self._first - 1) * hop] = window[: half + (self._first - 1) * hop]
        tail = window[(self._last + 1) * hop - half :]
        chunk[self._second * hop : self._second * hop + len(tail)] = tail
        made = stages.front_end(chunk)
        self._mel[:, : self._first] = made[:, : self._first]
        count = self._frames - 1 - self._last
        self._mel[:, self._last + 1 :] = made[:, self._second : self._second + count]

    def _judge(self, stages: Stages) -> list[Segment]:
        """The window that ends now, from its frames."""
        self._judged = self._heard
        if self._silent(self._latest(self._size)):
            return []
        self._add_ends(stages)
        return [self._segment(stages.network(self._mel))]

    def _judge_whole(self) -> list[Segment]:
        """The last window, or all there is, repeated to fill one, through the whole model: no frames fit it."""
        self._judged = self._heard
        sound = self._latest(min(self._heard, self._size))
        return [] if self._silent(sound) else [self._segment(self._engine(np.resize(sound, self._size)))]

    def _silent(self, sound: np.ndarray) -> bool:
        return bool(max(sound.max(), -sound.min()) < self._silence)

    def _segment(self, answer: Answer) -> Segment:
        start = max(0, self._heard - self._size)
        return Segment(start / self._rate, self._heard / self._rate, answer[0], answer[1])
