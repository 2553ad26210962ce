"""Spoiling bytes and texts; each draws from a ``random.Random``, so that a seed names a case."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

_NUMBERS = (0, 1, -1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1)

TEXTS = (
    "",
    " ",
    "nan",
    "None",
    "-0",
    "1e400",
    "１２",
    "\0",
    "a\0b",
    "\ud800",
    "line\nbreak",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202eright to left",
    "\N{ZERO WIDTH SPACE}",
    "e\N{COMBINING ACUTE ACCENT}",
    "<script>alert(1)</script>",
    "=1+1",
    "@SUM(A1)",
    "../../../outside",
    "/etc/passwd",
    "a/b",
    "con",
    "{model}",
    "%s%n",
    "$(id)",
    "[bold]rich[/bold] [/]",
    "\\input{x}",
    "x" * 70_000,
)
"""Texts that somewhere are more than text."""

RAW_JSON = (
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "1e308",
    "9223372036854775807",
    "9223372036854775808",
    "9" * 400,
    "9" * 5000,
    "[]",
    "{}",
    "[null]",
    '{"": ""}',
    "[" * 300 + "]" * 300,
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 5_000 + "1" + "}" * 5_000,
)

RAW_TOML = (
    "true",
    "0",
    "-1",
    "1.5",
    "inf",
    "-inf",
    "nan",
    "1e308",
    "1e400",
    "9223372036854775807",
    "9" * 400,
    "9" * 5000,
    "[]",
    "[[]]",
    "[1, 'a']",
    "[0, 0]",
    "{}",
    "{a = 1}",
    "1979-05-27",
    "07:32:00",
    "[" * 300 + "]" * 300,
    "[" * 5_000 + "]" * 5_000,
    "''",
    "'" + "x" * 70_000 + "'",
)


def spoil_bytes(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """Spoil bytes in one to four places.

    Parameters
    ----------
    rng : random.Random
    data : bytes
    other : bytes
        Another file, parts of which may be spliced in.
    """
    ops: list[Callable[[random.Random, bytearray, bytes], bytearray]]
    ops = [_flip, _overwrite, _number, _insert, _delete, _truncate, _duplicate, _zero, _splice]
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        spoilt = rng.choice(ops)(rng, spoilt, other)
    return bytes(spoilt)


def _place(rng: random.Random, data: bytearray) -> int:
    # Headers decide more than what they head: half of all faults fall in the first 2 KiB.
    end = len(data) if rng.random() < 0.5 else min(len(data), 2048)
    return rng.randrange(end) if end else 0


def _part(rng: random.Random, data: bytearray) -> slice:
    start = _place(rng, data)
    return slice(start, start + rng.choice((1, 2, 4, 8, 64, 512, 4096)))


def _flip(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if data:
            data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return data


def _overwrite(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    part = _part(rng, data)
    data[part] = rng.randbytes(len(data[part]))
    return data


def _number(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    kind = rng.choice(("<i", "<q", ">i", ">q", "<d", "<h"))
    number = rng.choice(_NUMBERS)
    bits = 8 * struct.calcsize(kind)
    value = (
        float(number) if kind == "<d" else (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    )
    start = _place(rng, data)
    data[start : start + bits // 8] = struct.pack(kind, value)
    return data


def _insert(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    start = _place(rng, data)
    data[start:start] = rng.randbytes(rng.choice((1, 2, 8, 100)))
    return data


def _delete(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    del data[_part(rng, data)]
    return data


def _truncate(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _duplicate(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    part = _part(rng, data)
    start = _place(rng, data)
    data[start:start] = data[part]
    return data


def _zero(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    part = _part(rng, data)
    data[part] = bytes(len(data[part]))
    return data


def _splice(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    source = bytearray(other or data)
    part = _part(rng, source)
    start = _place(rng, data)
    data[start : start + len(source[part])] = source[part]
    return data


def spoil_json(rng: random.Random, data: bytes) -> bytes:
    """Spoil the structure of a JSON text: values, keys, nesting; what is spoilt already stays."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    raw: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 5))):
        value = _spoil_value(rng, value, raw)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    for number, each in enumerate(raw):
        text = text.replace(f'"@raw {number}@"', each)
    if rng.random() < 0.1:
        text = _double_key(rng, text)
    return text.encode("utf-8", "surrogatepass")


def spoil_jsonl(rng: random.Random, data: bytes) -> bytes:
    """Spoil lines of JSON: the structure of some, or their order, number and endings."""
    lines = data.splitlines()
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 2:
                lines[at] = rng.choice((b"", b"[]", b"null", b"{", b"\xef\xbb\xbf" + lines[at]))
            case 3:
                # The same fault in every line: nothing good is left to compare with.
                state = rng.getrandbits(64)
                lines = [spoil_json(random.Random(state), line) for line in lines if line]
                break
            case _:
                lines[at] = spoil_json(rng, lines[at]) if lines[at] else b"{}"
        if not lines:
            break
    return rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r")).join(lines)


def _spoil_value(rng: random.Random, value: Any, raw: list[str]) -> Any:
    """Spoil one node; its place is drawn by walking down at random."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        match rng.randrange(10):
            case 0:
                return {name: each for name, each in value.items() if name != key}
            case 1:
                renamed = rng.choice((*TEXTS, key.upper(), f"{key} "))
                return {renamed if name == key else name: each for name, each in value.items()}
            case 2:
                return value | {rng.choice(TEXTS): _awkward(rng, raw)}
            case _:
                return value | {key: _spoil_value(rng, value[key], raw)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, value[at]]
            case _:
                return [*value[:at], _spoil_value(rng, value[at], raw), *value[at + 1 :]]
    return _awkward(rng, raw)


def _awkward(rng: random.Random, raw: list[str]) -> Any:
    if rng.random() < 0.5:
        return rng.choice(TEXTS)
    raw.append(rng.choice(RAW_JSON))
    return f"@raw {len(raw) - 1}@"


def _double_key(rng: random.Random, text: str) -> str:
    keys = list(re.finditer(r'("(?:[^"\\]|\\.){1,50}"): ', text))
    if not keys:
        return text
    key = rng.choice(keys)
    return f"{text[: key.start()]}{key[1]}: {rng.choice(RAW_JSON)}, {text[key.start() :]}"


def spoil_csv(rng: random.Random, data: bytes, separator: str = ",") -> bytes:
    """Spoil a table: cells, header, the number of cells a row, quotes."""
    rows = list(csv.reader(io.StringIO(data.decode()), delimiter=separator))
    for _ in range(rng.choice((1, 1, 2, 5))):
        row = rng.choice(rows)
        at = rng.randrange(max(1, len(row)))
        match rng.randrange(10):
            case 0:
                del row[at : at + 1]
            case 1:
                row.insert(at, rng.choice(TEXTS))
            case 2:
                rows[0][rng.randrange(len(rows[0]))] = rng.choice(rows[0])
            case 3:
                column = rng.randrange(len(rows[0]))
                for each in rows:
                    del each[column : column + 1]
            case 4:
                rows.append(list(rng.choice(rows)))
            case 5:
                rows[:] = rows[: rng.randrange(len(rows)) + 1]
            case _:
                row[at : at + 1] = [rng.choice((*TEXTS, "1", "-1", "1e308", "inf", "0.5", "1,5"))]
        rows[0] = rows[0] or ["example"]
    out = io.StringIO()
    ending = rng.choice(("\n", "\r\n", "\n"))
    writer = csv.writer(out, delimiter=separator, lineterminator=ending, escapechar="\\")
    writer.writerows(rows)
    text = out.getvalue()
    if rng.random() < 0.1:
        place = rng.randrange(len(text) + 1)
        text = f'{text[:place]}"{text[place:]}'
    start = b"\xef\xbb\xbf" if rng.random() < 0.1 else b""
    return start + text.encode("utf-8", "surrogatepass")


def spoil_toml(rng: random.Random, data: bytes) -> bytes:
    """Spoil lines of TOML: values, keys, tables, their number."""
    lines = data.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        key, equals, value = lines[at].partition("=")
        match rng.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(rng.randrange(len(lines)), lines[at])
            case 2 if equals:
                renamed = rng.choice((key.strip()[:-1] or "x", '""', "path", "kind"))
                lines[at] = f"{renamed} ={value}"
            case 3:
                name = json.dumps(rng.choice(TEXTS).replace("\ud800", "?").replace("\0", "?"))
                lines[at] = re.sub(r"\.\w+\]", lambda _: f".{name}]", lines[at])  # noqa: B023
            case _ if equals:
                awkward = json.dumps(rng.choice(TEXTS).replace("\ud800", "?"))
                lines[at] = f"{key}= {rng.choice((*RAW_TOML, awkward, awkward))}"
            case _:
                lines[at] = rng.choice(("[data]", "[[methods.bt]]", "[run]", "[", "x = 1", "\0"))
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "surrogatepass")
