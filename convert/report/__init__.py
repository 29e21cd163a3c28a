"""A conversion → tables, charts and a page."""
