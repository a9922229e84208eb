"""A campaign that is served, and people who call it: what the tests of the server share. The standard library alone."""
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

SETTINGS = """
[campaign]
name = "shapes"
labels = ["circle", "square", "stripes"]
[items]
slice = "site"
[price]
each = 4
[query]
strategy = "random"
batch = {batch}
[labelling]
text = "note"
image = "file"
fields = ["site"]
overlap = {overlap}
regulated = {regulated}
"""
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000a49444154789c63000100000500010d0a2db4"
                    "0000000049454e44ae426082")
PASSWORD = "a long password"


class Served:
    """A folder with a campaign of `items` items, all handed out, and the server over it."""

    def __init__(self, command, items=40, overlap=1, regulated=False, people=(), options=(), note="<b>note</b> {}", strange_files=True):
        self.command, self.options = str(command), list(options)
        self.scratch = tempfile.TemporaryDirectory(prefix="poolwise-serve-")
        root = pathlib.Path(self.scratch.name)
        self.folder = root / "c"
        (self.folder / "img").mkdir(parents=True)
        (self.folder / "img" / "a.png").write_bytes(PNG)
        (root / "secret.png").write_bytes(PNG)
        (self.folder / "link.png").symlink_to(root / "secret.png")
        (root / "s.toml").write_text(SETTINGS.format(batch=items, overlap=overlap, regulated=str(regulated).lower()))
        files = ["img/a.png", "../secret.png", "link.png", "campaign.db", "/etc/passwd", str(root / "secret.png"), "img/none.png", "img/"]
        rows = [f'item_{i:05d},"{note.format(i)}",{files[i] if strange_files and i < len(files) else files[0]},{"north" if i % 2 else "south"}' for i in range(items)]
        (root / "items.csv").write_text("id,note,file,site\n" + "\n".join(rows) + "\n")
        self.run("campaign", "init", self.folder, "--settings", root / "s.toml")
        self.run("campaign", "pool", "add", self.folder, "--items", root / "items.csv")
        self.run("campaign", "query", self.folder)
        for name, role in people:
            self.run("serve", self.folder, "--person", name, "--role", role, text=PASSWORD + "\n")
        self.process, self.port = None, 0
        self.start()

    def run(self, *arguments, text=None, check=True):
        return subprocess.run([self.command, *map(str, arguments)], input=text, text=True, capture_output=True, check=check)

    def start(self):
        self.process = subprocess.Popen([self.command, "serve", str(self.folder), "--port", str(self.port), *self.options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)/$|port (\d+)\)", line.strip())
        if not found:
            raise SystemExit(f"the server does not start: {line}{self.process.stderr.read()}")
        self.port = int(found[1] or found[2])

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()
        return self.process.stderr.read()

    def events(self):
        return [json.loads(line) for line in self.run("campaign", "export", self.folder, "events").stdout.splitlines()]

    def close(self):
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
        self.scratch.cleanup()


class Caller:
    def __init__(self, served, name=None, password=PASSWORD, headers=None):
        self.served, self.name, self.password, self.headers = served, name, password, {"Content-Type": "application/json", **(headers or {})}
        self.connection = None
        if name:
            self.login()

    def login(self):
        status, said = self.call("POST", "/api/login", {"name": self.name, "password": self.password})
        assert status == 200, (status, said)
        self.headers["X-Page-Token"] = said["token"]

    def call(self, method, path, body=None, headers=None):
        while True:
            status, _, said = self.raw(method, path, body, headers)
            if status != 429 or "wait a second" not in said["error"]:
                return status, said
            time.sleep(1)

    def raw(self, method, path, body=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=60)
        text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        try:
            self.connection.request(method, path, text, {**self.headers, **(headers or {})})
            answer = self.connection.getresponse()
            data = answer.read()
        except Exception:
            self.connection.close()
            self.connection = None
            raise
        cookie = answer.getheader("Set-Cookie")
        if cookie:
            self.headers["Cookie"] = cookie.split(";")[0]
        if answer.getheader("Content-Type", "").startswith("application/json"):
            data = json.loads(data)
        return answer.status, answer.headers, data

    def work(self, count):
        status, said = self.call("POST", "/api/work", {"count": count})
        assert status == 200, (status, said)
        return [one["item"] for one in said["items"]]


def changes_without_review(events):
    """Labels that became others in another way than by a ruling of another person, with a reason, on a proposal."""
    current, proposals, rulings, wrong = {}, {}, {}, []
    for event in events:
        body = event["body"]
        if event["kind"] == "proposal":
            proposals[event["n"]] = body
        if event["kind"] == "ruling":
            rulings[body["proposal"]] = body
        if event["kind"] != "label":
            continue
        before, after = current.get(body["item"]), body["label"]
        if before is not None and before != after:
            proposal, ruling = proposals.get(body.get("proposal")), rulings.get(body.get("proposal"))
            if not (proposal and ruling and ruling["approve"] and ruling["why"].strip() and proposal["by"] != ruling["by"] and
                    (proposal["item"], proposal["before"], proposal["label"]) == (body["item"], before, after)):
                wrong.append(event)
        current[body["item"]] = after
    return wrong


def command_of(arguments):
    """The command to test, or the end where it was built without the server: 77 stands for `not run`."""
    command = pathlib.Path(arguments[1])
    if not (command.parent / "poolwise-serve").exists():
        print("not run: this build has no poolwise-serve")
        sys.exit(77)
    os.environ["PYTHONUNBUFFERED"] = "1"
    return command
