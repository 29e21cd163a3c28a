"""A Raspberry Pi's software on a PC: its own packages, run by QEMU. See `make test-pi`."""
