"""A server of the OpenAI-compatible API that runs a tiny model, and fails as it is told."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from backend_oracles import last_hidden


class FakeServer(ThreadingHTTPServer):
    """``dialect``: vllm (ids), llama.cpp (ids in its answers), llama-cpp-python, openai (text).

    ``faults`` are used up, one a request: a status code, (status, Retry-After), or a word.
    """

    daemon_threads = True

    def __init__(self, model, dialect):
        super().__init__(("127.0.0.1", 0), Handler)
        self.model, self.dialect = model, dialect
        self.faults, self.bodies, self.keys = [], [], []
        self.lock, self.listed = threading.Lock(), ["tiny"]
        self.shift, self.most = 0, 256

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def served(model, dialect):
    server = FakeServer(model, dialect)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        rows = [{"id": name, "max_model_len": self.server.most} for name in self.server.listed]
        self.answer(200, {"data": rows})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
            fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "slow":
            time.sleep(0.4)
        with self.server.lock:
            if isinstance(fault, tuple):
                said = {"error": {"message": f"no: {self.headers.get('Authorization')}"}}
                return self.answer(fault[0], said, {"Retry-After": fault[1]})
            if isinstance(fault, int):
                away = {"Location": "http://127.0.0.1:9/v1"} if fault == 302 else {}
                said = {"error": {"message": f"key {self.headers.get('Authorization')} is bad"}}
                return self.answer(fault, said, away)
            found = self.complete(body)
        if fault == "short":
            choice = found["choices"][0]
            for each in (choice.get("prompt_logprobs"), (choice["logprobs"] or {}).get("tokens")):
                if each:
                    each.pop()
        if fault == "gap":
            choice = found["choices"][0]
            if choice.get("prompt_logprobs"):
                choice["prompt_logprobs"][-1] = None
            else:
                choice["logprobs"]["token_logprobs"][-2] = None
        return self.answer(200, found, cut=fault == "cut")

    def answer(self, code, found, headers=None, cut=False):
        data = json.dumps(found).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) - (20 if cut else 0)))
        self.end_headers()
        self.wfile.write(data[:-20] if cut else data)

    @torch.inference_mode()
    def complete(self, body):
        model, dialect = self.server.model, self.server.dialect
        tokenizer, prompt = model.tokenizer, body["prompt"]
        ids = list(prompt)
        if isinstance(prompt, str):
            ids = tokenizer.encode(prompt, add_special_tokens=True)
        written, stop = [], "length"
        start = len(ids)
        generator = torch.Generator().manual_seed(body.get("seed", 0))
        while len(written) < body["max_tokens"]:
            logits = model.head(last_hidden(model.backbone, [*ids, *written])[-1]).float()
            if body["temperature"]:
                weights = (logits / body["temperature"]).softmax(-1)
                token = int(torch.multinomial(weights, 1, generator=generator))
            else:
                token = int(logits.argmax())
            written.append(token)
            if token in (*model.eos, *body.get("stop_token_ids", ())):
                stop = "stop"
                break
            text = tokenizer.decode(written, skip_special_tokens=True)
            if word := next((each for each in body.get("stop", ()) if each in text), None):
                stop = "word"
                break
        every = [*ids, *written]
        known = model.head(last_hidden(model.backbone, every)).float().log_softmax(-1)
        known = torch.cat([known[:1] * 0, known[:-1]])
        said = written[:-1] if stop == "stop" else written
        text = tokenizer.decode(said, skip_special_tokens=True)
        if stop == "word":
            text = text[: text.index(word)]
            if dialect == "llama.cpp":
                # It takes away as many tokens as the stop string has by itself.
                del written[-len(tokenizer.encode(word, add_special_tokens=False)) :]
        stop = stop.replace("word", "stop")
        choice = {"index": 0, "text": text, "finish_reason": stop, "logprobs": None}

        def row(at, count):
            best = known[at].topk(min(count, 400)).indices.tolist() if count else []
            return {id: known[at, id].item() for id in dict.fromkeys([*best, every[at]])}

        count = body.get("logprobs")
        if dialect == "vllm":
            if body.get("return_token_ids"):
                choice["token_ids"] = written
                rows = [row(start + i, count) for i in range(len(written))]
                choice["logprobs"] = self.lists(rows, written, lambda id: f"token_id:{id}")
            if (wanted := body.get("prompt_logprobs")) is not None:
                rows = [row(at + self.server.shift * (at > 1), wanted) for at in range(1, start)]
                keyed = [{str(k): {"logprob": v} for k, v in each.items()} for each in rows]
                for at, each in enumerate(keyed, 1):
                    each.setdefault(str(every[at]), {"logprob": -1.0})
                choice["prompt_logprobs"] = [None, *keyed]
        elif dialect == "llama.cpp":
            rows = [row(start + i, count) for i in range(len(written))]
            content = [
                {"id": id, "logprob": each[id]}
                | {"top_logprobs": [{"id": k, "logprob": v} for k, v in each.items()][:count]}
                for id, each in zip(written, rows, strict=True)
            ]
            choice["logprobs"] = {"content": content}
        elif count is not None:
            # llama-cpp-python: neither the begin token nor the end token has an entry.
            first = int(ids[0] == tokenizer.bos_token_id) if body.get("echo") else start
            at = range(first, start + len(said))
            rows = [row(i + self.server.shift * (0 < i < start), count) for i in at]
            spoken = [every[i] for i in at]
            found = self.lists(rows, spoken, lambda id: self.piece(id))
            if body.get("echo"):
                found["token_logprobs"][0] = found["top_logprobs"][0] = None
            choice["logprobs"] = found
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(written)}
        return {"choices": [choice], "usage": usage}

    @staticmethod
    def lists(rows, ids, name):
        return {
            "tokens": [name(id) for id in ids],
            "token_logprobs": [each.get(id, -1.0) for each, id in zip(rows, ids, strict=True)],
            "top_logprobs": [{name(k): v for k, v in each.items()} for each in rows],
        }

    def piece(self, id):
        return self.server.model.tokenizer.decode([id]).replace("\N{REPLACEMENT CHARACTER}", "")
