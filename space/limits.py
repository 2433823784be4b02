"""How much the Space keeps for strangers, and what it refuses in words before gradio stumbles over it.

Kept at most: what SESSIONS sessions sent last, LARGEST_REQUEST bytes each, and what SESSIONS streams hold that nobody
reads, each a text of `writing.MOST_CHARACTERS` in `writing.UPDATES` updates. A text that waits takes one of QUEUE
places.
"""

import ctypes
import json
import os
import platform

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

import models

THREADS = 8  # each holds memory of its own; texts and readings need 5
PLACES = 2  # texts that are written at the same time; the others wait in a queue
QUEUE = 40
SESSIONS = QUEUE + 10 * PLACES  # that are remembered: more than can wait or be served at once
LARGEST_REQUEST = 100_000  # bytes: the longest text, escaped, and what the page sends along
ARENA_MAX = -8  # the parameter of glibc's mallopt
TEXTS = (gr.Textbox, gr.Dropdown, gr.HTML)  # components whose value is a string


class Page(gr.Blocks):
    """Blocks that say in words, and not in a trace in the log, which value they cannot take."""

    async def preprocess_data(self, block_fn, inputs, *args, **kwargs):
        try:
            values = await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except Exception as error:
            raise models.visible_error(error) from error
        for block, value in zip(block_fn.inputs, values, strict=True):
            if isinstance(block, TEXTS) and not isinstance(value, str):
                raise models.visible_error(f"{block.label or 'The value'} has to be a text; {value!r} is none.")
        return values


class Refusals:
    """Answers with 422 what gradio would answer with a trace: a body that is no JSON, or names what is not there."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive) if scope["type"] == "http" else None
        if not request or request.method != "POST" or request.headers.get("content-type", "").startswith("multipart/"):
            return await self.app(scope, receive, send)
        try:
            body = await request.body()
        except ClientDisconnect:
            return  # nobody waits for an answer
        if reason := reason_to_refuse(scope["app"].get_blocks(), request.url.path, body):
            return await JSONResponse({"detail": reason}, 422)(scope, receive, send)
        read = iter([{"type": "http.request", "body": body}])

        async def read_again():
            return next(read, None) or await receive()

        await self.app(scope, read_again, send)


def reason_to_refuse(demo: gr.Blocks, path: str, body: bytes) -> str | None:
    """Why gradio cannot answer a request, or None if it can."""
    try:
        asked = json.loads(body)
        json.dumps(asked, allow_nan=False, ensure_ascii=False).encode()  # no NaN, no half of a character
    except (ValueError, RecursionError):
        return "The body is not JSON."
    asked = asked if isinstance(asked, dict) else {}
    functions = {number: fn.api_name for number, fn in demo.fns.items() if fn.fn}
    *_, kind, name = path.rstrip("/").split("/")
    if kind == "call" and name not in functions.values():
        return f"There is no function {name}."
    if asked.get("fn_index") is not None and asked["fn_index"] not in list(functions):
        return "There is no function of this number."
    if name == "component_server" and asked.get("component_id") not in list(demo.blocks):
        return "There is no component of this number."
    return None


def share_heap() -> None:
    """Has all threads allocate from one heap: by default glibc gives each its own, which keeps what is freed there."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(ARENA_MAX, 1)


SERVING = {
    "ssr_mode": False,
    "state_session_capacity": SESSIONS,
    "max_threads": THREADS,
    "app_kwargs": {
        "middleware": [
            Middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_REQUEST),
            Middleware(Refusals),
        ]
    },
}


def queued(demo: gr.Blocks) -> gr.Blocks:
    """The page with its queue, which no request goes around."""
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))  # else all are tabulated after each request
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", str(SESSIONS))
    demo.queue(max_size=QUEUE, api_open=False)
    demo._queue.pending_messages_per_session.max_size = SESSIONS  # gradio itself keeps 2000 streams that nobody reads
    return demo
