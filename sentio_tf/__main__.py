"""`python -m sentio_tf` is the command `sentio-tf`."""

from .cli import main

main(prog_name="sentio-tf")
