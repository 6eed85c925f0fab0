"""Tracks to `tf.data`: caches, crops, augmentation.

spec = pipeline.Spec(holds="waveform")
data = pipeline.dataset(tracks, spec, augment=Augment(noise_snr_db=(10, 40)), batch=32)
"""

from ..audio.augment import Augment
from .cache import Cache, Progress, Spec, entry_id, open_cache
from .data import (
    band_statistics,
    crop,
    dataset,
    draws,
    predict_tracks,
    render_tracks,
    target,
    track_frames,
    window_starts,
)

__all__ = [
    "Augment",
    "Cache",
    "Progress",
    "Spec",
    "band_statistics",
    "crop",
    "dataset",
    "draws",
    "entry_id",
    "open_cache",
    "predict_tracks",
    "render_tracks",
    "target",
    "track_frames",
    "window_starts",
]
