"""EdgeMatte inside other people's photo booths, one file each; the only place that imports their packages."""
