"""Many annotators at once: what a label takes at a given rate, and that none is lost or doubled.

    load.py POOLWISE [PEOPLE [LABELS_A_SECOND [SECONDS]]]
"""
import asyncio
import json
import random
import sys
import time

from serving import Caller, Served, command_of

MOST_P99_MS = 100


class Annotator:
    """Keeps one connection, and waits for a moment of its own before each label."""

    def __init__(self, served, number, rate):
        self.served, self.name, self.rate = served, f"person{number}", rate
        caller = Caller(served, self.name)
        self.head = f"Host: 127.0.0.1:{served.port}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in caller.headers.items())
        self.times, self.sent, self.random = [], [], random.Random(number)

    async def post(self, path, body):
        text = json.dumps(body)
        self.writer.write(f"POST {path} HTTP/1.1\r\n{self.head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        status = int((await self.reader.readline()).split()[1])
        size = 0
        while (line := await self.reader.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return status, json.loads(await self.reader.readexactly(size))

    async def go(self, until):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.served.port)
        due, items = time.monotonic() + self.random.random() / self.rate, []
        while due < until:
            if not items:
                status, said = await self.post("/api/work", {"count": 8})
                assert status == 200, said
                items = [one["item"] for one in said["items"]]
                assert items, "no work is left: the campaign is too small for this load"
            await asyncio.sleep(max(0, due - time.monotonic()))
            begin = time.monotonic()
            item = items.pop(0)
            status, said = await self.post("/api/labels", {"key": item, "item": item, "label": "circle", "seconds": 1})
            assert status == 200 and said["state"] == "recorded", said
            self.times.append(time.monotonic() - begin)
            self.sent.append(item)
            due += self.random.uniform(0.5, 1.5) / self.rate
        self.writer.close()


async def all_of(people, seconds):
    until = time.monotonic() + seconds
    await asyncio.gather(*(one.go(until) for one in people))


def main():
    command = command_of(sys.argv)
    count, rate, seconds = (float(x) if i < len(sys.argv) else d for i, (x, d) in
                            enumerate(zip((sys.argv[2:] + [0] * 3)[:3], (200, 500, 20)), 2))
    count = int(count)
    at = Served(command, items=int(rate * seconds * 1.2) + 8 * count)
    try:
        people = [Annotator(at, number, rate / count) for number in range(count)]
        asyncio.run(all_of(people, seconds))
        times = sorted(t for one in people for t in one.times)
        sent = [item for one in people for item in one.sent]
        at.kill()
        labels = [e["body"]["item"] for e in at.events() if e["kind"] == "label"]
        assert sorted(labels) == sorted(sent) and len(set(sent)) == len(sent), "a label is lost, or there twice"
        assert at.run("campaign", "verify", at.folder).returncode == 0
        p99 = 1000 * times[int(0.99 * len(times))]
        print(f"{count} people, {len(sent)} labels in {seconds:.0f} s ({len(sent) / seconds:.0f} a second): median "
              f"{1000 * times[len(times) // 2]:.1f} ms, 99 % in {p99:.1f} ms, slowest {1000 * times[-1]:.0f} ms; none lost, none doubled")
        assert p99 < MOST_P99_MS, "too slow"
    finally:
        at.close()


main()
