"""Spoiling bytes and texts; each draws from a ``random.Random``, so that a seed names a case."""

from __future__ import annotations

import json
import random
import re
import struct

_NUMBERS = (0, 1, -1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1)

TEXTS = (
    "", " ", "nan", "None", "-0", "1e400", "１２", "\0", "a\0b", "\ud800", "line\nbreak", '"',
    "\x1b[31mred\x1b]0;title\x07", "\u202eright to left", "\N{ZERO WIDTH SPACE}",
    "e\N{COMBINING ACUTE ACCENT}", "<script>alert(1)</script>", "=1+1", "@SUM(A1)", "1,5", "path",
    "../../../outside", "/etc/passwd", "a/b", "con", "{model}", "%s%n", "$(id)", "kind",
    "[bold]rich[/bold] [/]", "\\input{x}", "x" * 300, "x" * 70_000,
)  # fmt: skip
"""Texts that somewhere are more than text."""

_JSON = (
    "null", "true", "0", "-1", "1.5", "1e999", "-1e999", "NaN", "Infinity", "1e308", "1e400",
    "9223372036854775807", "9223372036854775808", "9" * 400, "9" * 5000, "[]", "{}", "[null]",
    '{"": ""}', "[" * 300 + "]" * 300, "[" * 100_000 + "]" * 100_000,
    '{"a":' * 5_000 + "1" + "}" * 5_000,
)  # fmt: skip
_OTHER = (
    "inf", "-inf", "nan", "[[]]", "[0, 0]", "[1, 'a']", "{a = 1}", "1979-05-27", "07:32:00", "''",
    "[data]", "[[methods.bt]]", "[run]", "x = 1", "[" * 5_000 + "]" * 5_000,
)  # fmt: skip
"""Values, and lines, of TOML alone."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\w.+-]+|[\[{\]}]')


def spoil_bytes(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """Spoil bytes in one to four places; parts of another file may be spliced in."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        # Headers decide more than what they head: half of all faults fall in the first 2 KiB.
        end = len(spoilt) if rng.random() < 0.5 else min(len(spoilt), 2048)
        start, size = rng.randrange(end + 1), rng.choice((1, 2, 4, 8, 64, 512, 4096))
        part = slice(start, start + size)
        match rng.randrange(9):
            case 0 | 1 if start < len(spoilt):
                spoilt[start] ^= 1 << rng.randrange(8)
            case 2:
                spoilt[part] = rng.randbytes(len(spoilt[part]))
            case 3:
                number, width = rng.choice(_NUMBERS), rng.choice((2, 4, 8))
                whole = (number % 2 ** (8 * width)).to_bytes(width, rng.choice(("little", "big")))
                packed = rng.choice((whole, struct.pack("<d", number)))
                spoilt[start : start + len(packed)] = packed
            case 4:
                spoilt[start:start] = rng.randbytes(min(size, 100))
            case 5:
                del spoilt[part if rng.random() < 0.5 else slice(start, None)]
            case 6:
                spoilt[start:start] = spoilt[part]
            case 7:
                spoilt[part] = bytes(len(spoilt[part]))
            case _:
                place = rng.randrange(len(other) + 1)
                piece = other[place : place + size]
                spoilt[start : start + len(piece)] = piece
    return bytes(spoilt)


def spoil_text(rng: random.Random, data: bytes) -> bytes:
    """Spoil the values, keys, nesting, lines and endings of JSON, TOML or a table."""
    lines = data.decode(errors="replace").splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines) or 1)
        match rng.randrange(10) if len(lines) > 1 else 9:
            case 0:
                del lines[at]
            case 1:
                lines.insert(rng.randrange(len(lines)), lines[at])
            case 2:
                lines[at] = rng.choice(("", "[]", "null", "{", "[", "\0", "\ufeff" + lines[at]))
            case 3 | 4:
                # The same fault in every line: nothing good is left to compare with.
                state = rng.getrandbits(64)
                lines = [_spoil_line(random.Random(state), line) for line in lines]
            case _:
                lines[at : at + 1] = [_spoil_line(rng, "".join(lines[at : at + 1]))]
    text = rng.choice(("\n", "\n", "\n", "\n", "\r\n", "\r")).join(lines)
    return ("\ufeff" * (rng.random() < 0.03) + text).encode("utf-8", "surrogatepass")


def _spoil_line(rng: random.Random, line: str) -> str:
    """Spoil a value or a key, or all that stands between two brackets."""
    raw = rng.choice(_JSON if rng.random() < 0.7 else _OTHER)
    tokens = list(_TOKEN.finditer(line))
    if not tokens:
        return raw
    at = rng.randrange(len(tokens))
    start, end = tokens[at].span()
    depth = 0
    for token in tokens[at:] if line[start] in "[{" else ():
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        end = token.end()
        if not depth:
            break
    piece, text = line[start:end], rng.choice(TEXTS)
    quoted = json.dumps(text, ensure_ascii=rng.random() < 0.5)
    match rng.randrange(16):
        case 0:
            piece, end = "", line.find(",", end) + 1 or end
        case 1:
            piece = f"{piece}, {piece}"
        case 2:
            piece = f"{piece}: {raw}, {piece}"  # a key that stands there twice
        case 3:
            piece = rng.choice(tokens)[0]
        case 4:
            piece = rng.choice((piece.upper(), f"{piece} ", piece[:-1], text))
        case 5 | 6 | 7 | 8 | 9:
            piece = quoted if piece.startswith(('"', "[", "{")) or rng.random() < 0.5 else text
        case _:
            piece = raw
    return line[:start] + piece + line[end:]
