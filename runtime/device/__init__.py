"""What this board is, and how a program on it is told things and tells them: files, systemd, MQTT, HTTP."""
