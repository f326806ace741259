"""The receiver's HTTP server with the simplest handler: it reads the body and answers, verifies and stores nothing.

python -m tests.bench.bare_receiver PORT
"""

import asyncio
import sys

from aiohttp import web

from dashboard.receiver.server import Server, bound


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    await request.read()
    return web.json_response({"received": True})


async def serve(port: int) -> None:
    await Server(answer, most=1000).listen(*bound(f"127.0.0.1:{port}"))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
