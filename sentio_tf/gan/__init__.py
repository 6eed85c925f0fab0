"""A conditional GAN of log-mel spectrograms: train it, judge it, and write what it makes as a corpus for training.

What it makes may enter the training part only, and `quality` says how far it is from music (docs/gan.md).
"""
