#!/usr/bin/env python3
"""A round in the real Label Studio and back: push 100, label 60, change 10, delete 3, restart it in the middle, pull.

    real.py POOLWISE LABEL_STUDIO [OUT]     LABEL_STUDIO: its program, in an environment of its own; some minutes
"""
import contextlib
import csv
import json
import os
import pathlib
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

KEY = "0123456789abcdef0123456789abcdef01234567"
SETTINGS = """
[campaign]
name = "shoes"
labels = ["boot", "sandal", "a \\"b\\" & <c>"]
[query]
strategy = "random"
batch = 100
audit = 0
[labelling]
text = "words"
"""
lines = []


def say(text):
    print(text, flush=True)
    lines.append(text)


class Studio:
    def __init__(self, program, folder, port):
        self.program, self.folder, self.port, self.url = program, folder, port, f"http://127.0.0.1:{port}"

    def start(self):
        self.child = subprocess.Popen(
            [self.program, "start", "--no-browser", "--port", str(self.port), "--internal-host", "127.0.0.1", "--username", "ann@example.org",
             "--password", "a-long-password", "--user-token", KEY],
            env=os.environ | {"LABEL_STUDIO_BASE_DATA_DIR": str(self.folder), "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true", "COLLECT_ANALYTICS": "false"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def wait(self, seconds=300):
        for _ in range(seconds * 2):
            with contextlib.suppress(OSError):
                return self("GET", "/api/version")
            time.sleep(0.5)
        sys.exit("Label Studio does not start")

    def kill(self):
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def __call__(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Token {KEY}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            text = reply.read()
        return json.loads(text) if text else None


def choice(word):
    return {"result": [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [word]}}], "lead_time": 2.5}


def main(poolwise, program, out=None):
    with tempfile.TemporaryDirectory() as place, socket.socket() as free:
        place = pathlib.Path(place)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        (place / "key").write_text(KEY)
        (place / "settings.toml").write_text(SETTINGS)
        with open(place / "items.csv", "w", newline="") as file:
            csv.writer(file).writerows([["id", "words"], *[[f"item-{i}", f"words {i}"] for i in range(400)]])

        def campaign(*arguments):
            done = subprocess.run([poolwise, "campaign", *map(str, arguments)], capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{arguments}: {done.stderr}")
            return done.stdout

        def call(verb, *arguments):
            return json.loads(campaign(verb, place / "c", "--label-studio", f"http://127.0.0.1:{port}", "--key-file", place / "key", "--tries", 60,
                                       *arguments, "--json"))

        campaign("init", place / "c", "--settings", place / "settings.toml")
        campaign("pool", "add", place / "c", "--items", place / "items.csv")
        campaign("query", place / "c")
        (place / "studio").mkdir()
        studio = Studio(program, place / "studio", port)
        studio.start()
        version = studio.wait()["release"]
        say(f"Label Studio {version}, {time.strftime('%Y-%m-%d', time.gmtime())}, Python {platform.python_version()}")
        try:
            first, second = call("push"), call("push")
            say(f"push: {first['tasks']} tasks, {first['sent']} sent; again: {second['sent']} sent")
            project = first["project"]
            tasks = studio("GET", f"/api/tasks?project={project}&page_size=200&fields=all")["tasks"]
            batch = [row["item"] for row in csv.DictReader(campaign("export", place / "c", "batch", "--round", 1).splitlines())]
            in_order = [t["data"]["item"] for t in sorted(tasks, key=lambda t: t["id"])] == batch
            say(f"tasks there: {len(tasks)}, in the order of their ranks: {in_order}")
            made = [studio("POST", f"/api/tasks/{t['id']}/annotations", choice(["boot", "sandal"][n % 2])) for n, t in enumerate(tasks[:60])]
            pulled = [call("pull")]
            say(f"labelled 60; pull: {pulled[-1]['added']} answers, {pulled[-1]['labels']} labels")
            for one in made[:10]:
                studio("PATCH", f"/api/annotations/{one['id']}", choice('a "b" & <c>'))
            for one in made[-3:]:
                studio("DELETE", f"/api/annotations/{one['id']}")
            studio.kill()
            waiting = threading.Thread(target=lambda: pulled.append(call("pull")))
            waiting.start()
            time.sleep(2)
            studio.start()
            waiting.join()
            say(f"changed 10, deleted 3, killed, and started while `pull` waited: {pulled[-1]['changed']} changes, {pulled[-1]['withdrawn']} withdrawn")
            pulled += [call("pull"), call("pull", "--changes")]
            say(f"pull again: {pulled[-2]['added']} answers, {pulled[-2]['withdrawn']} withdrawn; by changes: {pulled[-1]['added']} answers")
            again = call("push")
            say(f"push again: {again['sent']} sent")
        finally:
            studio.kill()
        events = [json.loads(line) for line in campaign("export", place / "c", "events").splitlines()]
        answers = [e["body"] for e in events if e["kind"] == "answer"]
        withdrawn = [e["body"] for e in events if e["kind"] == "withdrawn"]
        labels = {row["item"]: row["label"] for row in csv.DictReader(campaign("export", place / "c", "labels").splitlines())}
        expected = {batch[n]: 'a "b" & <c>' if n < 10 else ["boot", "sandal"][n % 2] for n in range(57)}
        campaign("verify", place / "c")
        say(f"ledger: {len(answers)} versions of answers, {len({(a['external'], a['version']) for a in answers})} of them distinct, "
            f"{len(withdrawn)} withdrawn; {len(labels)} labels, right: {labels == expected}; verified; by {sorted({a['by'] for a in answers})}")
        right = (first["sent"], second["sent"], again["sent"], in_order, len(answers), len(withdrawn), labels == expected) == (100, 0, 0, True, 70, 3, True)
        right = right and (pulled[1]["changed"], pulled[2]["added"], pulled[2]["withdrawn"], pulled[3]["added"]) == (10, 0, 0, 0)
        say("every version, once" if right else "NOT as it should be")
        if out:
            pathlib.Path(out).write_text("\n".join(lines) + "\n")
        return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
