"""What guards the site: headers of every answer, limits on the rate and size of requests."""

import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MOST_BYTES = 20_000_000  # of a request
MINUTE = 60.0  # seconds
MOST_ADDRESSES = 10_000
FREE = ("/static/", "/api/health")  # not counted
# plotly writes style elements. SAMP's hub is on this machine, at a fixed port.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'; "
    "connect-src 'self' http://localhost:21012 http://127.0.0.1:21012"
)
KEPT = "public, max-age=3600"  # scripts and styles: plotly alone is 5 MB
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
Next = Callable[[Request], Awaitable[Response]]


async def add_headers(request: Request, call_next: Next) -> Response:
    """Answer with the headers that keep scripts and frames of others out."""
    answer = await call_next(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    if request.url.path.startswith("/static/"):
        answer.headers.setdefault("Cache-Control", KEPT)
    return answer


class Limits:
    """Refuses requests that are too large or come too often from one address."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """The answer, or 413 or 429 with a reason."""
        size = request.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > MOST_BYTES:
            return refusal(413, f"a request may have {MOST_BYTES:,} bytes; this has {size}")
        if "chunked" in request.headers.get("transfer-encoding", "").lower():
            return refusal(411, "say the size of the request: Content-Length")
        if not request.url.path.startswith(FREE) and self._too_often(request):
            return refusal(429, f"over {self.rate} requests a minute; wait a minute", wait=60)
        return await call_next(request)

    def _too_often(self, request: Request) -> bool:
        address = request.client.host if request.client else ""
        now = time.monotonic()
        if len(self._times) > MOST_ADDRESSES:
            self._times.clear()
        times = self._times[address]
        while times and times[0] < now - MINUTE:
            times.popleft()
        times.append(now)
        if len(times) > self.rate:
            times.pop()
            return True
        return False


def refusal(status: int, message: str, wait: int | None = None) -> JSONResponse:
    """A request refused, with the reason."""
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return JSONResponse({"error": message}, status, headers=headers)
