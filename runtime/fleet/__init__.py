"""A workstation's bundle on a stick → kiosks without a network: installed, updated, and back by themselves."""
