"""Where frames go, one file each; `words` says what the text after --sink means."""
