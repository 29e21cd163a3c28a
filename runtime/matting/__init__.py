"""`Image` → `Alpha` → cut-out."""
