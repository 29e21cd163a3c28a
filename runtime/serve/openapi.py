"""The service's description, openapi.json → the same for programs, and a page that needs no network and no script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
h2 { margin-top: 2.5rem; border-top: 1px solid #bbb; padding-top: 1rem; font-size: 1.2rem }
code { background: #f0f0f0; padding: .1em .3em; border-radius: .2em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0 }
form { margin: 1rem 0 } button, input { font: inherit }
@media (prefers-color-scheme: dark) { body { background: #1a1a1a; color: #eee } code { background: #333 } }
"""


@cache
def openapi(version: str) -> dict[str, Any]:
    """The description, with the version of the program."""
    description = json.loads((files(__package__ or "") / "openapi.json").read_text("utf-8"))
    description["info"]["version"] = version
    return description


def as_json(content: object) -> bytes:
    """Compact, UTF-8."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def html(description: dict[str, Any]) -> str:
    """The description for people, with a form to try the service."""
    title, version = escape(description["info"]["title"]), escape(description["info"]["version"])
    sections = "\n".join(
        line
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        for line in _section(path, method, operation, description)
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style>
<main>
<h1>{title} {version}</h1>
<p>{escape(description["info"]["description"])} For programs: <a href="/openapi.json">openapi.json</a>.</p>
<form method="post" action="/api/remove" enctype="multipart/form-data">
<label>Try it: <input type="file" name="file" accept="image/*" required></label> <button>Cut out</button>
</form>
<p>From a terminal: <code>curl -F file=@photo.jpg -o photo.cutout.png http://127.0.0.1:7000/api/remove</code></p>
{sections}
</main>
</html>
"""


def _section(path: str, method: str, operation: dict[str, Any], description: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    yield f"<p>{escape(operation['summary'])}</p>"
    if "description" in operation:
        yield f"<p>{escape(operation['description'])}</p>"
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {}).get("schema", {})
    if form:
        yield "<table><tr><th>Field<th>Meaning<th>Values</tr>"
        for name, field in form["properties"].items():
            required = "; required" if name in form.get("required", ()) else ""
            meaning = escape(field["description"]) + required
            yield f"<tr><td><code>{escape(name)}</code><td>{meaning}<td>{_values(field)}</tr>"
        yield "</table>"
    yield "<table><tr><th>Status<th>When</tr>"
    for status, response in operation["responses"].items():
        if "$ref" in response:
            response = description["components"]["responses"][response["$ref"].rpartition("/")[2]]
        yield f"<tr><td>{escape(status)}<td>{escape(response['description'])}</tr>"
    yield "</table>"


def _values(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " ".join(f"<code>{escape(value)}</code>" for value in field["enum"])
    if field["type"] == "boolean":
        return "<code>true</code> <code>false</code>"
    return f"<code>{escape(field['example'])}</code>" if "example" in field else ""
