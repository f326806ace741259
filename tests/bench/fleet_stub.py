"""An OpenTrain stub for the poller's benchmark: every response takes DELAY_S, and some tokens never get one.

python -m tests.bench.fleet_stub prints its port. A token ends in its install's number; every HANGING_EACHth one hangs.
Numbers above LONG_FROM are of installs with as many endpoints as they are above it; these never hang.
"""

import asyncio
import json

DELAY_S = 0.1
HANGING_EACH = 20
ENDPOINTS = 3
LONG_FROM = 1_000_000


def endpoint(*, install: int, number: int) -> dict[str, object]:
    return {
        "id": f"whe_{install}_{number}",
        "url": f"https://customer-{install}.example.com/webhooks/{number}",
        "eventTypes": ["contract.started", "contract.ended"],
        "status": "ACTIVE",
        "createdAt": "2026-06-12T10:00:00.000Z",
        "consecutiveFailures": 0,
        "disabledAt": None,
        "disabledReason": None,
    }


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    token = next(line for line in head.splitlines() if line.lower().startswith("authorization:"))
    install = int(token.rsplit("_", 1)[1])
    if install % HANGING_EACH == 0 and install < LONG_FROM:
        await reader.read()  # until the client gives up
    else:
        await asyncio.sleep(DELAY_S)
        count = install - LONG_FROM if install > LONG_FROM else ENDPOINTS
        listed = [endpoint(install=install, number=number) for number in range(count)]
        body = json.dumps({"webhookEndpoints": listed}).encode()
        fields = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        )
        writer.write(fields.encode() + b"\r\n" + body)
        await writer.drain()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
