import os

import pytest

from sentio_tf.errors import ModelError
from sentio_tf.terminal import quiet


def chatter():
    os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate\n")


def fail(error):
    with quiet():
        chatter()
        raise error


def test_native_chatter_is_held_back(capfd):
    with quiet():
        chatter()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize("error", [ModelError("x"), ValueError("x")])
def test_expected_failures_stay_quiet(capfd, error):
    with pytest.raises(type(error)):
        fail(error)
    assert capfd.readouterr().err == ""


def test_an_unexpected_failure_shows_what_was_said(capfd):
    with pytest.raises(KeyError):
        fail(KeyError("x"))
    assert "XNNPACK" in capfd.readouterr().err
