"""A stand-in for Label Studio 1.23 in one process: the calls that `poolwise campaign push` and `pull` make, and those by
which people label, with the paths, members, codes and pages that the real one was seen to give (real.py asks that one).

It keeps its state in the object, so that a server can stop and another go on. `faults` is a list of what becomes of the next
calls: a status, "cut" (half an answer), "drop" (done, without an answer), "hang" (no answer for a while) or None (as ever).
"""
import copy
import datetime
import http.server
import json
import re
import threading
import time
import urllib.parse

KEY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJh.eyJz.c2ln"  # the form of a personal access token
ACCESS = "access-for-minutes"


def now():
    time.sleep(0.000002)  # no two changes at one microsecond
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class State:
    def __init__(self):
        self.projects, self.tasks, self.annotations = {}, {}, {}
        self.users = {1: "ann@example.org", 2: "bob@example.org"}
        self.faults, self.calls, self.headers = [], [], []
        self.numbers = {"project": 0, "task": 0, "annotation": 0}
        self.lock = threading.Lock()

    def number(self, kind):
        self.numbers[kind] += 1
        return self.numbers[kind]

    def make_project(self, body):
        if len(body.get("title", "")) not in range(3, 51):
            return 400, {"detail": "Validation error", "validation_errors": {"title": ["Ensure this field has at least 3 characters."]}}
        number = self.number("project")
        words = [w.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
                 for w in re.findall(r'<Choice value="([^"]*)"', body["label_config"])]
        self.projects[number] = {"id": number, "title": body["title"], "description": body.get("description", ""),
                                 "label_config": body["label_config"], "created_at": now(), "task_number": None,
                                 "maximum_annotations": body.get("maximum_annotations", 1),
                                 "parsed_label_config": {"label": {"type": "Choices", "labels": words}}}
        return 201, self.projects[number]

    def import_tasks(self, project, tasks):
        needed = re.findall(r'value="\$(\w+)"', self.projects[project]["label_config"])
        for index, task in enumerate(tasks):
            for key in needed:
                if key not in task.get("data", {}):
                    return 400, {"detail": "Validation error", "validation_errors": {"non_field_errors": [
                        f'Error at item {index}: "{key}" key is expected in task data']}}
        for task in tasks:
            number = self.number("task")
            self.tasks[number] = {"id": number, "data": task["data"], "meta": task.get("meta", {}), "project": project,
                                  "created_at": now(), "updated_at": now()}
        return 201, {"task_count": len(tasks), "annotation_count": 0, "prediction_count": 0}

    def annotate(self, task, body, user=1):
        number = self.number("annotation")
        self.annotations[number] = {"id": number, "result": body["result"], "completed_by": user, "task": task,
                                    "project": self.tasks[task]["project"], "was_cancelled": body.get("was_cancelled", False),
                                    "lead_time": body.get("lead_time"), "created_at": now(), "updated_at": now()}
        self.tasks[task]["updated_at"] = now()
        return 201, self.annotations[number]

    def change(self, number, body):
        self.annotations[number] |= body
        self.annotations[number]["updated_at"] = now()
        self.tasks[self.annotations[number]["task"]]["updated_at"] = now()
        return 200, self.annotations[number]

    def delete(self, number):
        gone = self.annotations.pop(number)
        self.tasks[gone["task"]]["updated_at"] = now()
        return 204, None

    def whole(self, task):
        whole = copy.deepcopy(task)
        whole["annotations"] = [a for a in self.annotations.values() if a["task"] == task["id"]]
        return whole

    def of_project(self, project):
        return [self.whole(t) for t in sorted(self.tasks.values(), key=lambda t: t["id"]) if t["project"] == project]


def page_of(items, query, size):
    page = int(query.get("page", ["1"])[0])
    size = int(query.get("page_size", [size])[0])
    if page > 1 and (page - 1) * size >= len(items):
        return None
    return items[(page - 1) * size:page * size]


def answer(state, method, path, query, body, key):
    if path == "/api/token/refresh":
        return (200, {"access": ACCESS}) if body.get("refresh") == PERSONAL else (401, {"detail": "Token is invalid"})
    if key not in (f"Token {KEY}", f"Bearer {ACCESS}"):
        return 401, {"detail": "Invalid token."}
    if path == "/api/users":
        return 200, [{"id": n, "username": "", "email": email} for n, email in state.users.items()]
    if path == "/api/projects" and method == "POST":
        return state.make_project(body)
    if path == "/api/projects":
        all_of = sorted(state.projects.values(), key=lambda p: p["id"])
        page = page_of(all_of, query, 30)
        if page is None:
            return 404, {"detail": "Invalid page."}
        more = int(query.get("page", ["1"])[0]) * int(query.get("page_size", ["30"])[0]) < len(all_of)
        return 200, {"count": len(all_of), "next": "http://x/?page=2" if more else None, "previous": None, "results": page}
    found = re.fullmatch(r"/api/projects/(\d+)(/import|/export)?", path)
    if found:
        number = int(found[1])
        if number not in state.projects:
            return 404, {"detail": "No Project matches the given query."}
        if found[2] == "/import":
            return state.import_tasks(number, body)
        if found[2] == "/export":
            return 200, state.of_project(number)
        return 200, state.projects[number] | {"task_number": len(state.of_project(number))}
    if path == "/api/tasks":
        tasks = state.of_project(int(query["project"][0]))
        asked = json.loads(query.get("query", ["{}"])[0])
        for one in asked.get("filters", {}).get("items", []):
            assert one["filter"] == "filter:tasks:updated_at" and one["operator"] == "greater_or_equal"
            if not re.fullmatch(r"[\d-]+T[\d:]+\.\d+Z", one["value"]):
                return 500, {"detail": f"time data '{one['value']}' does not match format '%Y-%m-%dT%H:%M:%S.%fZ'"}
            tasks = [t for t in tasks if t["updated_at"].replace("Z", "") >= one["value"].replace("Z", "")]
        page = page_of(tasks, query, 30)
        if page is None:
            return 404, {"detail": "Invalid page."}
        return 200, {"total": len(tasks), "total_annotations": 0, "total_predictions": 0, "tasks": page}
    return 404, {"detail": "Not found."}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def serve(self):
        state = self.server.state
        url = urllib.parse.urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        with state.lock:
            state.calls.append(f"{self.command} {url.path}")
            state.headers.append(dict(self.headers))
            fault = state.faults.pop(0) if state.faults else None
            if isinstance(fault, int):
                status, reply = fault, {"detail": "a fault"}
            else:
                status, reply = answer(state, self.command, url.path, urllib.parse.parse_qs(url.query), body,
                                       self.headers.get("Authorization"))
            text = b"" if reply is None else json.dumps(reply).encode()
        if fault == "hang":
            time.sleep(1.5)
        if fault in ("hang", "drop"):
            self.close_connection = True
            return
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://elsewhere.example.org/")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text[:len(text) // 2] if fault == "cut" else text)
        if fault == "cut":
            self.close_connection = True

    do_GET = do_POST = serve


class Server:
    """Listens on loopback while it lives: `with Server(state) as url`."""

    def __init__(self, state, port=0):
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        http.server.ThreadingHTTPServer.daemon_threads = True
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.state = state
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
