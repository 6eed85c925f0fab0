"""Tracks to `tf.data`, or to numpy batches without TensorFlow: caches, crops, augmentation.

spec = pipeline.Spec(holds="waveform")
data = pipeline.dataset(tracks, spec, augment=Augment(noise_snr_db=(10, 40)), batch=32)
data = pipeline.batches(tracks, spec, samples=59_049)
"""

from ..audio.augment import Augment
from .cache import Cache, Locks, Progress, Spec, entry_id, open_cache
from .data import (
    band_statistics,
    crop,
    dataset,
    draws,
    places_of,
    render_tracks,
    target,
    track_frames,
    window_starts,
    windows,
)
from .inference import predict_tracks
from .loader import batches

__all__ = [
    "Augment",
    "Cache",
    "Locks",
    "Progress",
    "Spec",
    "band_statistics",
    "batches",
    "crop",
    "dataset",
    "draws",
    "entry_id",
    "open_cache",
    "places_of",
    "predict_tracks",
    "render_tracks",
    "target",
    "track_frames",
    "window_starts",
    "windows",
]
