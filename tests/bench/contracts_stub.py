"""An OpenTrain stub for the benchmark of the sweep: links and contracts of any install, each response after DELAY_S.

python -m tests.bench.contracts_stub CONTRACTS prints its port. A token ends in its install's number. Half of its
contracts are active, half have ended; they are on JOBS jobs, each with a link.
"""

import asyncio
import json
import sys
from functools import lru_cache

from tests.bench.fleet_stub import DELAY_S

JOBS = 4
STARTED, ENDED = "2026-06-01T10:00:00.000Z", "2026-06-12T10:00:00.000Z"


def contract_id(*, install: int | str, number: int) -> str:
    return f"con_{install}_{number}"


def is_active(*, number: int, contracts: int) -> bool:
    return number < contracts // 2


def contract(*, number: int, contracts: int) -> dict[str, object]:
    active = is_active(number=number, contracts=contracts)
    return {
        "id": contract_id(install="{install}", number=number),
        "status": "active" if active else "ended",
        "jobId": f"job_{{install}}_{number % JOBS}",
        "title": f"Annotation of traffic signs, batch {number}",
        "startDate": STARTED,
        "endDate": None if active else ENDED,
        "createdAt": STARTED,
        "projectLinkIds": [f"plk_{{install}}_{number % JOBS}"],
    }


def link(number: int) -> dict[str, object]:
    return {
        "id": f"plk_{{install}}_{number}",
        "jobId": f"job_{{install}}_{number}",
        "externalProjectId": f"project-{number}",
        "externalProjectName": f"Project {number}",
        "externalProjectUrl": f"https://platform.example.com/projects/{number}",
        "provisioningMode": "PARTNER_WEBHOOK",
        "createdAt": STARTED,
    }


@lru_cache
def template(target: str, contracts: int) -> bytes:
    """Return the body for this target, with {install} where its number is to be."""
    if "/project-links" in target:
        return json.dumps({"projectLinks": [link(number) for number in range(JOBS)]}).encode()
    listed = [contract(number=number, contracts=contracts) for number in range(contracts)]
    wanted = "active" if "status=active" in target else "ended"
    return json.dumps({"contracts": [one for one in listed if one["status"] == wanted]}).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, contracts: int) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    token = next(line for line in head.splitlines() if line.lower().startswith("authorization:"))
    install = token.rsplit("_", 1)[1].encode()
    await asyncio.sleep(DELAY_S)
    body = template(head.split(" ", 2)[1], contracts).replace(b"{install}", install)
    fields = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    )
    writer.write(fields.encode() + b"\r\n" + body)
    await writer.drain()
    writer.close()


async def main(contracts: int) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, contracts=contracts), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
