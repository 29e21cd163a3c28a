"""The networks we ship; `models/README.md` holds their cards."""
