"""Requests to a server: many at a time, made again where that may help, told in words if not."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, TypeVar
from urllib import error as failures
from urllib import request as requests

import numpy as np

from preflamp_backend.engines.source import EngineSource
from preflamp_backend.faults import fault
from preflamp_stats.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)

_PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
"""Status codes that may be others a moment later."""
_MENDS = {
    401: "put the API key into the environment variable {key}",
    403: "put a key that may use it into the environment variable {key}",
    404: "check the address, which mostly ends in /v1, and the model's name, 'served'",
    413: "set 'context' to what the server takes",
}
_LONGEST_WAIT = 120.0
"""Seconds between two attempts, at most; a server that asks for more is given up on."""


class _Stay(requests.HTTPRedirectHandler):
    """Follows nobody elsewhere: the key would go along."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Leave the answer as it is."""


class _Passing(Exception):
    """A failure that may pass: what it is, and how long to wait, where the server says it."""


class Client:
    """A server's API.

    Parameters
    ----------
    source : EngineSource
    wait : callable
        Sleeps; tests give one that does not.

    Raises
    ------
    InputError
        If the key cannot be sent.
    """

    def __init__(self, source: EngineSource, wait: Callable[[float], None] = time.sleep) -> None:
        self.source, self._wait = source, wait
        self._key = os.environ.get(source.key, "").strip()
        # The library would show it in its own error.
        if not (self._key.isascii() and self._key.isprintable()) or " " in self._key:
            raise fault("holds no key that can be sent", "set it again", variable=source.key)
        self._opener = requests.build_opener(_Stay)
        self._lock, self._next = threading.Lock(), 0.0
        self._jitter = np.random.default_rng()

    def map(self, ask: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Ask for each item, several at a time; the first error ends it."""
        if len(items) < 2 or self.source.concurrency == 1:
            return [ask(item) for item in items]
        with ThreadPoolExecutor(self.source.concurrency) as pool:
            futures = [pool.submit(ask, item) for item in items]
            try:
                return [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Answer to a request, or of a resource where there is no body: ask until there is one.

        Raises
        ------
        InputError
            For a server that refuses, or that fails as often as is allowed.
        """
        for attempt in range(1, self.source.attempts + 1):
            self._take_turn()
            try:
                return self._once(path, None if body is None else json.dumps(body).encode())
            except _Passing as trouble:
                what, wait = trouble.args
                # Twice as long each time, and not all at once.
                wait = wait or min(2.0**attempt, 60.0) / 2 * (1 + self._jitter.random())
                if attempt == self.source.attempts or wait > _LONGEST_WAIT:
                    rest = f"; it wants {wait:.0f} s of rest" if wait > _LONGEST_WAIT else ""
                    mend = "see that it runs, lower concurrency or per_minute, and run again: "
                    mend += "shards that are done stay"
                    raise self._fault(f"{what}, asked {attempt} times{rest}", mend) from None
                _LOG.info("%s: %s; again in %.1f s", self.source.path, what, wait)
                self._wait(wait)
        raise AssertionError("at least one attempt")

    def _take_turn(self) -> None:
        """Wait until ``per_minute`` allows a request."""
        if self.source.per_minute is None:
            return
        with self._lock:
            now = time.monotonic()
            due = max(now, self._next)
            self._next = due + 60 / self.source.per_minute
        if due > now:
            self._wait(due - now)

    def _once(self, path: str, data: bytes | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        address = self.source.path.rstrip("/") + path
        try:
            asked = requests.Request(address, data, headers)
            with self._opener.open(asked, timeout=self.source.timeout) as answer:
                found = json.loads(answer.read())
        except failures.HTTPError as error:
            said = f"{error.code} ({_message(error)})"
            if error.code in _PASSING:
                wait = _asked_wait(error.headers.get("Retry-After"))
                raise _Passing(f"answers {said}", wait) from None
            mend = "check 'server', 'sends' and 'context' against what the server takes"
            if 300 <= error.code < 400:
                mend = "name the address that it leads to: a key is not sent on"
            mend = _MENDS.get(error.code, mend).format(key=self.source.key)
            raise self._fault(f"refuses a request with {said}", mend) from None
        except (failures.URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise _Passing(f"cannot be reached ({reason})", None) from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise _Passing("answers with what is no whole JSON object", None)
        return found

    def _fault(self, what: str, mend: str) -> InputError:
        # Servers quote the key that they refuse.
        hidden = what.replace(self._key, "(the key)") if self._key else what
        return fault(hidden, mend, variable=self.source.path)


def _message(error: failures.HTTPError) -> str:
    """What a server says of its refusal, in a line."""
    try:
        text = error.read(4096).decode(errors="replace")
    except (OSError, HTTPException):
        text = ""
    try:
        found = json.loads(text)
        for name in ("error", "message", "detail"):
            found = found.get(name, found) if isinstance(found, dict) else found
        text = found if isinstance(found, str) else json.dumps(found)
    except ValueError:
        pass
    return " ".join(text.split())[:200] or str(error.reason)


def _asked_wait(value: str | None) -> float | None:
    """Seconds of a Retry-After header: a number or a date.

    Examples
    --------
    >>> _asked_wait("3"), _asked_wait("soon"), _asked_wait(None)
    (3.0, None, None)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
