"""Errors a user can act on: one line each, saying what was expected, what was received and what to do."""


class SentioError(Exception):
    """Base of every expected failure; the command line prints its message and exits with 1."""


class AudioError(SentioError):
    """An audio file that cannot be read, or holds nothing that can be analysed."""


class ModelError(SentioError):
    """A model file, card or run directory that cannot be used."""


class DataError(SentioError):
    """A corpus, label file, split or cache that cannot be used."""


class ConfigError(SentioError):
    """A configuration value that is unknown or out of its range."""
