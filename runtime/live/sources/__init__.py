"""Where frames come from, one file each; `words` says what the text after --source means."""
