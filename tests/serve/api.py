"""The server by its API: leases, labels that are sent again, kills, review, roles, and hostile calls.

    api.py POOLWISE
"""
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import ssl
import stat
import subprocess
import sys

from serving import PASSWORD, Caller, Served, changes_without_review, command_of

PAGE = pathlib.Path(__file__).resolve().parents[2] / "bindings" / "serve" / "page"
OPENAPI = json.loads((PAGE / "openapi.json").read_text())
# Every route by every role: y may, n may not. What is not here is not there.
ROLES = ["annotator", "reviewer", "manager", "auditor"]
ALLOWED = {
    "POST /api/logout": "yyyy", "POST /api/password": "yyyy", "GET /api/campaign": "yyyy", "GET /api/guideline": "yyyy",
    "POST /api/guideline": "nnyn", "POST /api/work": "yyyn", "POST /api/return": "yyyn", "POST /api/labels": "yyyn",
    "POST /api/flags": "yyyn", "GET /api/mine": "yyyn", "GET /api/guess": "yyyn", "GET /api/item": "yyyy", "GET /media": "yyyy",
    "GET /api/proposals": "nyyy", "POST /api/proposals": "yyyn", "POST /api/rulings": "nyyn", "GET /api/conflicts": "nyyy",
    "POST /api/conflicts": "nyyn", "GET /api/dashboard": "nyyy", "GET /api/report": "nyyy", "GET /api/people": "nnyy",
    "POST /api/people": "nnyn", "GET /api/audit": "nnyy", "GET /api/events": "nnyy"}


def expect(got, status, word=""):
    assert got[0] == status and word in json.dumps(got[1] if not isinstance(got[1], bytes) else ""), (got, status, word)


def leases_and_labels(command):
    at = Served(command, items=30)
    try:
        anna, ben = Caller(at, "anna"), Caller(at, "ben")
        first, second = anna.work(10), ben.work(10)
        assert len(first) == len(second) == 10 and not set(first) & set(second), "one item before two people"
        assert anna.work(10) == first, "the same work again"
        label = {"key": "k1", "item": first[0], "label": "circle", "seconds": 2.5}
        expect(anna.call("POST", "/api/labels", label), 200, "recorded")
        expect(anna.call("POST", "/api/labels", label), 200, "known")
        expect(ben.call("POST", "/api/labels", {**label, "item": first[1]}), 404, "never before you")
        expect(anna.call("POST", "/api/labels", {**label, "key": "k2", "label": "circel"}), 422, "nearest")
        expect(anna.call("POST", "/api/labels", {**label, "key": "k3", "label": "square"}), 200, "recorded")
        expect(anna.call("POST", "/api/return", {"items": [first[9]], "skipped": True}), 200)
        assert first[9] in ben.work(11) and first[9] not in anna.work(30)

        # Killed: what was acknowledged stands, leases too, and what is sent again is known.
        said = at.kill()
        assert said == "", said
        at.start()
        anna, ben = Caller(at, "anna"), Caller(at, "ben")
        expect(anna.call("POST", "/api/labels", label), 200, "known")
        assert set(second) <= set(ben.work(11))
        assert set(anna.work(30)).isdisjoint(ben.work(11))
        for person in (anna, ben):
            for item in person.work(30):
                expect(person.call("POST", "/api/labels", {"key": "x" + item, "item": item, "label": "stripes"}), 200)
        events = at.events()
        items = [e["body"]["item"] for e in events if e["kind"] == "label" and "replaces" not in e["body"]]
        assert len(items) == len(set(items)) == 30, len(items)
        assert at.run("campaign", "verify", at.folder).returncode == 0

        # Media: of the folder alone.
        for row in range(8):
            status = anna.call("GET", f"/media?kind=image&item=item_{row:05d}")[0]
            assert status == (200 if row == 0 else 404), (row, status)
        for path in ("/media?kind=image&item=../secret.png", "/../secret.png", "/%2e%2e/secret.png", "/media/..%2fsecret.png",
                     "/campaign.db", "/people.json", "/media?kind=file&item=item_00000", "/" + "a" * 5000, "/%00", "/media"):
            status = anna.call("GET", path)[0]
            assert 400 <= status < 500, (path, status)

        # Hostile bodies, and what another site's page could send.
        for body in ("", "[]", "null", "{", '{"key":1}', "[" * 50000, json.dumps({"key": "a"}), json.dumps({**label, "more": 1}),
                     json.dumps({**label, "key": "k9", "seconds": -1}), json.dumps({**label, "key": "k" * 101}),
                     '{"key":"z","item":"\\ud800","label":"circle"}', b'{"key":"z","item":"\xff","label":"circle"}'):
            status = anna.call("POST", "/api/labels", body)[0]
            assert 400 <= status < 500, (body[:60], status)
        try:
            assert anna.call("POST", "/api/labels", json.dumps({**label, "why": "x" * 2_000_000}))[0] == 413
        except (ConnectionError, BrokenPipeError):
            pass  # cut while it was sent
        expect(Caller(at).call("POST", "/api/login", {"name": "<script>"}), 422)
        expect(anna.call("POST", "/api/labels", label, {"X-Page-Token": "0"}), 403)
        expect(anna.call("POST", "/api/labels", json.dumps(label), {"Content-Type": "text/plain"}), 415)
        expect(anna.call("POST", "/api/labels", label, {"Origin": "https://evil.example"}), 403)
        expect(anna.call("GET", "/api/mine", None, {"Host": "evil.example"}), 403)
        expect(anna.call("PUT", "/api/labels", label), 405)
        status, headers, _ = anna.raw("GET", "/")
        assert status == 200 and "script-src 'self'" in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
        forged = Caller(at, headers={"Cookie": anna.headers["Cookie"][:-4] + "0000", "X-Page-Token": anna.headers["X-Page-Token"]})
        expect(forged.call("GET", "/api/mine"), 401)
        expect(anna.call("POST", "/api/logout", {}), 200)
        expect(Caller(at, headers={"Cookie": forged.headers["Cookie"]}).call("GET", "/api/mine"), 401)
    finally:
        at.close()


def meddle(at, callers, calls=300):
    """Whatever is called, in whatever order: no label becomes another but by review."""
    chance, items = random.Random(3), sorted({item for one in callers for item in one.work(5)})
    answers = {}
    for number in range(calls):
        caller, proposals = chance.choice(callers), list(range(chance.randrange(400)))[-3:]
        if chance.random() < 0.3:
            said = callers[-1].call("GET", "/api/proposals")[1]["proposals"]
            proposals = [one["proposal"] for one in said] or proposals
        body = {"key": str(chance.randrange(200)), "item": chance.choice(items), "label": chance.choice(["circle", "square", "stripes"]), "why": "so"}
        path = chance.choice(["/api/labels", "/api/proposals", "/api/conflicts", "/api/rulings"])
        if path == "/api/rulings":
            body = {"key": body["key"], "proposal": chance.choice(proposals or [0]), "approve": chance.random() < 0.8, "why": "so"}
        status = caller.call("POST", path, body)[0]
        assert status in (200, 403, 404, 409, 422), (path, body, status)
        answers[path, status] = answers.get((path, status), 0) + 1
    assert all((path, 200) in answers for path in ("/api/labels", "/api/proposals", "/api/rulings")), answers
    events = at.events()
    assert not (wrong := changes_without_review(events)), wrong
    assert changes_without_review([*events, {"kind": "label", "n": 0, "body": {"item": next(
        e["body"]["item"] for e in events if e["kind"] == "label"), "label": "another"}}]), "the check is blind"


def roles_and_review(command):
    at = Served(command, items=30, regulated=True, people=[(f"{role}1", role) for role in ("manager", "annotator", "reviewer", "auditor")])
    try:
        mode = stat.S_IMODE(os.stat(at.folder / "people.json").st_mode)
        assert mode == 0o600 and PASSWORD not in (at.folder / "people.json").read_text()
        who = {role: Caller(at, role + "1") for role in ROLES}
        expect(Caller(at).call("POST", "/api/login", {"name": "annotator1", "password": "wrong password"}), 401)
        stranger = Caller(at)
        documented = {f"{method.upper()} {path}" for path, methods in OPENAPI["paths"].items() for method in methods}
        assert documented == set(ALLOWED) | {"GET /api/session", "POST /api/login", "GET /api/openapi.json"}, documented ^ set(ALLOWED)
        for route, may in ALLOWED.items():
            method, path = route.split()
            if path in ("/api/logout", "/api/password"):
                continue  # they end the session
            body = {} if method == "POST" else None
            assert stranger.call(method, path, body)[0] == 401, route
            for role, letter in zip(ROLES, may):
                status = who[role].call(method, path, body)[0]
                assert (status == 403) == (letter == "n"), (route, role, status)
            roles = OPENAPI["paths"][path][method.lower()]["x-roles"]
            assert roles == [role for role, letter in zip(ROLES, may) if letter == "y"], (route, roles)
        annotator, reviewer, manager = who["annotator"], who["reviewer"], who["manager"]
        item, other = annotator.work(2)
        expect(reviewer.call("GET", f"/api/item?item={item}"), 200)
        expect(annotator.call("GET", "/api/item?item=item_00029"), 404 if "item_00029" not in (item, other) else 200)
        expect(annotator.call("POST", "/api/labels", {"key": "1", "item": item, "label": "circle"}), 200, "recorded")
        expect(annotator.call("POST", "/api/labels", {"key": "2", "item": item, "label": "square"}), 409, "review")
        wish = {"key": "3", "item": item, "label": "square", "why": "it has corners"}
        expect(annotator.call("POST", "/api/proposals", {**wish, "why": ""}), 400)
        expect(reviewer.call("POST", "/api/proposals", wish), 200, "recorded")
        proposal = manager.call("GET", "/api/proposals")[1]["proposals"][0]["proposal"]
        ruling = {"key": "4", "proposal": proposal, "approve": True, "why": "so it has"}
        expect(reviewer.call("POST", "/api/rulings", ruling), 422, "another person")
        expect(annotator.call("POST", "/api/rulings", ruling), 403)
        expect(manager.call("POST", "/api/rulings", {**ruling, "why": " "}), 422)
        expect(manager.call("POST", "/api/rulings", ruling), 200, "recorded")
        expect(manager.call("POST", "/api/rulings", ruling), 200, "known")
        audit = who["auditor"].call("GET", "/api/audit")[1].decode().splitlines()
        assert any("circle,square,reviewer1,it has corners,manager1,so it has" in line for line in audit), audit
        labels = at.folder.parent / "labels.csv"
        labels.write_text(f"item,label,version\n{item},stripes,7\n")
        refused = at.run("campaign", "ingest", at.folder, "--labels", labels, "--source", "elsewhere", "--overrule", "--json")
        assert json.loads(refused.stdout)["refused"] == 1 and "review alone" in refused.stderr, refused
        meddle(at, [annotator, reviewer, manager])
        expect(manager.call("POST", "/api/guideline", {"text": "# Corners", "after": 0}), 200)
        expect(manager.call("POST", "/api/guideline", {"text": "# Corners", "after": 0}), 409)
        expect(manager.call("POST", "/api/people", {"name": "annotator1", "off": True}), 200)
        expect(annotator.call("GET", "/api/mine"), 401)
        expect(manager.call("POST", "/api/people", {"name": "manager1", "role": "auditor"}), 422, "last manager")
        tries = [Caller(at).call("POST", "/api/login", {"name": "reviewer1", "password": "nothing at all"})[0] for _ in range(8)]
        assert 429 in tries, tries
        said = at.kill(signal.SIGTERM)
        assert "item_" not in said and "reviewer1" not in said, said
    finally:
        at.close()


def safe_places(command):
    at = Served(command, items=8)
    try:
        at.kill()
        for options, word in ((["--listen", "0.0.0.0"], "in the clear"), (["--behind-proxy", "http://x"], "https://"),
                              (["--behind-proxy", "https://x"], "people with passwords"), (["--key", "k.pem"], "certificate")):
            refused = at.run("serve", at.folder, "--port", 0, *options, check=False)
            assert refused.returncode == 2 and word in refused.stderr, (options, refused)
        if shutil.which("openssl"):
            pem, key = at.folder / "cert.pem", at.folder / "key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", pem,
                            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
            at.run("serve", at.folder, "--person", "rita", "--role", "manager", text=PASSWORD + "\n")
            at.port, at.options = 0, ["--certificate", str(pem), "--key", str(key)]
            at.start()
            safe = http.client.HTTPSConnection("localhost", at.port, context=ssl.create_default_context(cafile=pem), timeout=20)
            safe.request("POST", "/api/login", json.dumps({"name": "rita", "password": PASSWORD}), {"Content-Type": "application/json"})
            answer = safe.getresponse()
            cookie = answer.getheader("Set-Cookie")
            assert answer.status == 200 and cookie.startswith("__Host-") and cookie.endswith("HttpOnly; SameSite=Strict; Secure"), cookie
        assert at.run("serve", at.folder, "--person", "x", "--role", "manager", text="short\n", check=False).returncode == 6
    finally:
        at.close()


if __name__ == "__main__":
    poolwise = command_of(sys.argv)
    for part in (leases_and_labels, roles_and_review, safe_places):
        part(poolwise)
        print(part.__name__)
