"""Schemathesis calls every documented route with what it makes of openapi.json, as each role: no answer is a failure of the
server, each is one that is documented, and no label changes without review.

    schema.py POOLWISE [EXAMPLES]
"""
import pathlib
import re
import subprocess
import sys

from serving import Caller, Served, changes_without_review, command_of

ROLES = ("manager", "annotator", "reviewer", "auditor")


def main():
    at = Served(command_of(sys.argv), items=200, regulated=True, people=[(role, role) for role in ROLES])
    try:
        for role in ROLES:
            caller = Caller(at, role)
            done = subprocess.run(
                [pathlib.Path(sys.executable).parent / "schemathesis", "run", f"http://127.0.0.1:{at.port}/api/openapi.json",
                 "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                 "--max-examples", sys.argv[2] if len(sys.argv) > 2 else "40", "--seed", "1", "--rate-limit", "40/s", "--phases", "examples,coverage,fuzzing",
                 "--exclude-path", "/api/logout", "--exclude-path", "/api/password", "--exclude-path", "/api/login",
                 "--exclude-path", "/api/people", "--header", f"Cookie: {caller.headers['Cookie']}",
                 "--header", f"X-Page-Token: {caller.headers['X-Page-Token']}"], text=True, capture_output=True, cwd=at.scratch.name)
            lines = [line for line in done.stdout.splitlines() if line.strip()]
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
            print(f"{role}: " + next((line.strip() for line in lines if re.search(r"\d generated", line)), lines[-1]))
        assert not changes_without_review(at.events())
        assert at.run("campaign", "verify", at.folder).returncode == 0
    finally:
        at.close()


main()
