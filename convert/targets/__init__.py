"""An int8 network and a chip → which operators the chip takes, and why not the others."""
