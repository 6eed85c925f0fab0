import os
import threading

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


def test_threads_do_not_swallow_what_others_say(capfd):
    """Regression: threads that took turns in here kept stderr redirected, and a traceback was lost."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            with quiet():
                pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(200):
        os.write(2, b"said %d\n" % i)
    stop.set()
    for thread in threads:
        thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "".join(f"said {i}\n" for i in range(200)) + "after\n"


def test_quiet_within_quiet(capfd):
    with quiet():
        with quiet():
            chatter()
        chatter()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_entering_opens_no_file(monkeypatch):
    """It is entered for every block of an mp3."""
    with quiet():
        pass
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *a, **k: pytest.fail("opened"))
    with quiet():
        chatter()
