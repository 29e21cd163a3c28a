"""The JSON of `bench run` or of the study `peers` → its `Result` or `Peers`."""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..runtime.errors import UsageError
from . import peers_result
from .peers_result import Peers
from .result import SCHEMA, SCHEMA_VERSION, Result


class MisfitError(UsageError):
    """A value that is not of the type its field has; the text starts with the field's path."""


def load(path: Path) -> Result | Peers:
    """Reads a file that `bench run --json`, or the study `peers`, wrote. Raises UsageError, naming it, for others."""
    return from_json(_text(path), name=str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{path}: cannot be read: {reason}") from error


def from_json(text: str, *, name: str) -> Result | Peers:
    """As `load`, of the file's content; `name` is for messages."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name}: is no JSON ({error}); expected what 'edgematte bench run --json' wrote") from error
    schema = content.get("schema", "no schema") if isinstance(content, dict) else "no object"
    if schema not in _SCHEMAS:
        raise UsageError(
            f"{name}: holds {schema}; expected {' or '.join(_SCHEMAS)}, which 'edgematte bench run --json' writes"
        )
    kind, known = _SCHEMAS[schema]
    version = content.get("schema_version")
    if isinstance(version, int) and version > known:
        raise UsageError(
            f"{name}: was written by a newer edgematte (schema version {version}, this one reads {known}); "
            "update with: pip install --upgrade edgematte"
        )
    if version != known:
        raise UsageError(f"{name}: is of schema version {version}, expected {known}; measure again")
    try:
        return built(kind, content, "")
    except MisfitError as error:
        raise UsageError(f"{name}: {error}; the file was changed or is damaged") from error


# Schema → what is built of it, and its version.
_SCHEMAS: dict[str, tuple[type, int]] = {
    SCHEMA: (Result, SCHEMA_VERSION),
    peers_result.SCHEMA: (Peers, peers_result.SCHEMA_VERSION),
}


def built(kind: Any, value: Any, path: str) -> Any:
    """`value`, as JSON knows it, as an instance of `kind`: dataclasses, tuples, optional and plain types.

    `path` is where it stands, for messages. Raises MisfitError.
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        options = get_args(kind)
        if value is None and type(None) in options:
            return None
        return built(next(option for option in options if option is not type(None)), value, path)
    if origin is tuple:
        return _tuple(get_args(kind), value, path)
    return (_dataclass if is_dataclass(kind) else _simple)(kind, value, path)


def _simple(kind: Any, value: Any, path: str) -> Any:
    """Text, a number or a truth value; a whole number is a float too, and True is no number."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MisfitError(f"{path} is {json.dumps(value)[:40]}, expected {kind.__name__}")
    return value


def _tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise MisfitError(f"{path} is {json.dumps(value)[:40]}, expected a list")
    if kinds[-1] is Ellipsis:
        return tuple(built(kinds[0], item, f"{path}[{place}]") for place, item in enumerate(value))
    if len(kinds) != len(value):
        raise MisfitError(f"{path} has {len(value)} entries, expected {len(kinds)}")
    return tuple(
        built(kind, item, f"{path}[{place}]") for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _dataclass(kind: Any, value: Any, path: str) -> Any:
    """Fields that this version does not know are left out, as a newer one may have added them."""
    if not isinstance(value, dict):
        raise MisfitError(f"{path or 'the file'} is {json.dumps(value)[:40]}, expected an object")
    hints = get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in fields(kind):
        where = f"{path}.{field.name}" if path else field.name
        if field.name in value:
            found[field.name] = built(hints[field.name], value[field.name], where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise MisfitError(f"{where} is missing")
    return kind(**found)
