"""Rounds of a campaign in Label Studio and in the files of other tools, and what comes back, by the command (POOLWISE)."""
import concurrent.futures
import csv
import json
import os
import pathlib
import subprocess
import time

import numpy
import pytest
import stand_in

COMMAND = os.environ["POOLWISE"]
EXAMPLES = pathlib.Path(__file__).parent / "examples"
SETTINGS = """
[campaign]
name = "shoes"
labels = ["boot", "sandal", "a \\"b\\" & <c>"]
[query]
strategy = "kcenter"
batch = 12
audit = 0
[labelling]
text = "words"
image = "file"
fields = ["site", "pages"]
"""


class Campaign:
    def __init__(self, place, settings=SETTINGS, name="c"):
        self.place, self.folder = place, place / name
        rows = [[f"item-{i}", f"words, {i}", f"photos/{i}.jpg", "north", i] for i in range(40)]
        with open(place / "items.csv", "w", newline="") as file:
            csv.writer(file).writerows([["id", "words", "file", "site", "pages"], *rows])
        numpy.save(place / "e.npy", numpy.random.default_rng(3).normal(size=(40, 4)).astype(numpy.float32))
        (place / "settings.toml").write_text(settings)
        self("init", "--settings", place / "settings.toml")
        self.call("pool", "add", self.folder, "--items", place / "items.csv", "--embeddings", place / "e.npy")
        self("query")
        self.key = place / "key"
        self.key.write_text(stand_in.KEY + "\n")

    def call(self, *arguments, code=0, **environment):
        done = subprocess.run([COMMAND, "campaign", *map(str, arguments)], capture_output=True, text=True, check=False,
                              env=os.environ | environment)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        for text in (stand_in.KEY, stand_in.PERSONAL, stand_in.ACCESS):
            assert text not in done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def __call__(self, verb, *arguments, **how):
        return self.call(verb, self.folder, *arguments, **how)

    def json(self, verb, *arguments):
        return json.loads(self(verb, *arguments, "--json"))

    def push(self, server, *arguments):
        return self.json("push", "--label-studio", server.url, "--key-file", self.key, "--tries", 4, *arguments)

    def pull(self, server, *arguments, tries=4):
        return self.json("pull", "--label-studio", server.url, "--key-file", self.key, "--tries", tries, *arguments)

    def events(self, *kinds):
        lines = [json.loads(line) for line in self("export", "events").splitlines()]
        return [e["body"] for e in lines if e["kind"] in kinds]

    def batch(self):
        return [row["item"] for row in csv.DictReader(self("export", "batch", "--round", 1).splitlines())]

    def labels(self):
        return {row["item"]: row["label"] for row in csv.DictReader(self("export", "labels").splitlines())}

    def verify(self):
        self("verify")


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path)
    yield made
    made.verify()
    assert stand_in.KEY.encode() not in (made.folder / "campaign.db").read_bytes()


def choice(word, seconds=2.5):
    return {"result": [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [word]}}], "lead_time": seconds}


def counts(pulled):
    return {k: pulled[k] for k in ("added", "changed", "withdrawn", "known", "labels")}


def test_a_round_becomes_tasks_in_the_order_of_its_ranks_once(campaign):
    state = stand_in.State()
    with stand_in.Server(state) as server:
        first = campaign.push(server)
        assert (first["made"], first["tasks"], first["sent"]) == (True, 12, 12)
        assert [(t["data"]["item"], t["meta"]["rank"]) for t in state.of_project(1)] == [(i, n + 1) for n, i in enumerate(campaign.batch())]
        task = state.of_project(1)[0]
        number = task["data"]["item"].split("-")[1]
        assert task["data"] == {"item": f"item-{number}", "text": f"words, {number}", "image": f"photos/{number}.jpg",
                                "fields": {"site": "north", "pages": number}}
        assert task["meta"].keys() == {"campaign", "item", "round", "rank", "reason"}
        assert state.projects[1]["parsed_label_config"]["label"]["labels"] == ["boot", "sandal", 'a "b" & <c>']
        again = campaign.push(server, "--media", "http://m/")
        assert (again["made"], again["tasks"], again["sent"]) == (False, 12, 0)
        del state.tasks[3], state.tasks[7]
        assert campaign.push(server, "--media", "http://m/")["sent"] == 2
        assert len(state.of_project(1)) == 12 and state.of_project(1)[-1]["data"]["image"].startswith("http://m/photos/")
        assert len(campaign.events("pushed")) == 1
        campaign("query")
        assert campaign.push(server)["sent"] == 12 and len(state.projects) == 1
        assert campaign.push(server, "--round", 1)["sent"] == 0


def test_every_version_of_every_annotation_is_an_event_once(campaign):
    state = stand_in.State()
    with stand_in.Server(state) as server:
        campaign.push(server)
        state.import_tasks(1, [{"data": {"text": "", "image": "", "fields": {}}}])  # somebody's own
        assert counts(campaign.pull(server)) == {"added": 0, "changed": 0, "withdrawn": 0, "known": 0, "labels": 0}
        for task in range(1, 9):
            state.annotate(task, choice("boot" if task % 2 else "sandal"), user=1 + task % 2)
        state.annotate(9, {"result": [], "was_cancelled": True})
        first = campaign.pull(server)
        assert counts(first) == {"added": 8, "changed": 0, "withdrawn": 1, "known": 0, "labels": 8}
        assert (first["tasks"], first["foreign"], first["refused"]) == (13, 1, 0)
        state.change(2, choice('a "b" & <c>', 4))
        state.change(9, choice("boot") | {"was_cancelled": False})
        changed = campaign.pull(server, "--changes")
        assert (changed["added"], changed["changed"], changed["labels"]) == (2, 2, 2)
        state.delete(1)
        state.delete(5)
        assert campaign.pull(server, "--changes")["withdrawn"] == 0
        assert counts(campaign.pull(server)) == {"added": 0, "changed": 0, "withdrawn": 2, "known": 7, "labels": 0}
        head = campaign.events("answer", "withdrawn", "label")
        for _ in range(2):
            assert counts(campaign.pull(server)) == {"added": 0, "changed": 0, "withdrawn": 0, "known": 7, "labels": 0}
        assert campaign.events("answer", "withdrawn", "label") == head
    answers = campaign.events("answer")
    assert len(answers) == 10 and len({(a["external"], a["version"]) for a in answers}) == 10
    assert {a["by"] for a in answers} == set(state.users.values()) and answers[0]["seconds"] == 2.5
    assert [w["why"] for w in campaign.events("withdrawn")] == ["skipped", "deleted", "deleted"]
    batch = campaign.batch()
    expected = {batch[t - 1]: "boot" if t % 2 else "sandal" for t in (3, 4, 6, 7, 8)} | {batch[1]: 'a "b" & <c>', batch[8]: "boot"}
    assert campaign.labels() == expected
    assert campaign.json("status")["outstanding"] == 5


def test_the_label_is_what_most_say_of_those_asked(tmp_path):
    campaign = Campaign(tmp_path, SETTINGS + "overlap = 2\n")
    state = stand_in.State()
    with stand_in.Server(state) as server:
        campaign.push(server)
        assert state.projects[1]["maximum_annotations"] == 2
        for task, words in enumerate([["boot", "boot"], ["boot", "sandal"], ["boot"], ["boot", "sandal", "sandal"]], start=1):
            for user, word in enumerate(words):
                state.annotate(task, choice(word), user=1 + user % 2)
        first, batch = campaign.pull(server), campaign.batch()
        assert (first["labels"], first["waiting"], first["disputed"]) == (2, 1, [batch[1]])
        assert campaign.labels() == {batch[0]: "boot", batch[3]: "sandal"}
        state.delete(3)  # of the second task "sandal" is left, and it waits again
        state.change(8, choice("boot"))  # the fourth: two for boot
        second = campaign.pull(server)
        assert (second["labels"], second["waiting"], second["disputed"]) == (1, 2, [])
        assert campaign.labels() == {batch[0]: "boot", batch[3]: "boot"}
    campaign.verify()


def test_reviews_are_not_passed_by(tmp_path):
    campaign = Campaign(tmp_path, SETTINGS + "regulated = true\n")
    state = stand_in.State()
    with stand_in.Server(state) as server:
        campaign.push(server)
        state.annotate(1, choice("boot"))
        state.annotate(2, choice("boot"))
        campaign.pull(server)
        state.change(1, choice("sandal"))
        state.delete(2)
        assert campaign.pull(server)["proposed"] == 1 and campaign.pull(server)["proposed"] == 0
        assert set(campaign.labels().values()) == {"boot"} and len(campaign.labels()) == 2
        assert [p["label"] for p in campaign.events("proposal")] == ["sandal"]
    campaign.verify()


def test_calls_that_fail_are_made_good(campaign):
    """Of a push: the list of projects, the project that is made, the list of tasks, the tasks that are sent, and the look
    whether they are there; of a pull: the people, the project, the export."""
    for at, *faults in [(0, 500), (1, "drop"), (1, 503), (3, "hang"), (4, "drop"), (4, 429, "cut"), (5, "cut", 500)]:
        state = stand_in.State()
        with stand_in.Server(state) as server:
            state.faults = [None] * at + faults
            campaign.push(server, "--timeout", 1)
            assert [t["data"]["item"] for t in state.of_project(1)] == campaign.batch() and len(state.projects) == 1, (at, faults)
            state.annotate(1, choice("boot"))
            state.faults = [None] * (at % 4) + faults
            assert campaign.pull(server, "--timeout", 1)["added"] == 1
            assert not state.faults
    assert len(campaign.events("answer")) == 7


def test_a_push_that_is_killed_is_finished_by_the_next(campaign):
    state = stand_in.State()
    with stand_in.Server(state) as server:
        for calls in range(1, 7):
            state.calls, state.faults = [], [None] * (calls - 1) + ["hang"]
            child = subprocess.Popen([COMMAND, "campaign", "push", campaign.folder, "--label-studio", server.url, "--key-file", campaign.key],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while len(state.calls) < calls and child.poll() is None:
                time.sleep(0.002)
            child.kill()
            child.wait()
        state.faults = []
        time.sleep(0.05)
        assert campaign.push(server)["tasks"] == 12
        assert sorted(t["data"]["item"] for t in state.of_project(1)) == sorted(campaign.batch()) and len(state.projects) == 1


def test_a_server_that_restarts_is_waited_for(campaign):
    state = stand_in.State()
    with stand_in.Server(state) as server:
        campaign.push(server)
        state.annotate(1, choice("boot"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pulling = pool.submit(campaign.pull, server, tries=30)
        time.sleep(0.4)
        with stand_in.Server(state, server.port):
            assert pulling.result()["added"] == 1


def test_two_pulls_at_a_time_record_once(campaign):
    state = stand_in.State()
    with stand_in.Server(state) as server:
        campaign.push(server)
        for task in range(1, 13):
            state.annotate(task, choice("boot"))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pulls = [pool.submit(campaign.pull, server) for _ in range(3)]
            assert sorted(p.result()["added"] for p in pulls) == [0, 0, 12]
    assert len(campaign.events("answer")) == 12


def test_a_personal_token_is_changed_for_one_that_opens(campaign):
    state = stand_in.State()
    campaign.key.write_text(stand_in.PERSONAL)
    with stand_in.Server(state) as server:
        campaign.push(server)
        state.annotate(1, choice("boot"))
        assert json.loads(campaign("pull", "--label-studio", server.url, "--json", LABEL_STUDIO_API_KEY=stand_in.PERSONAL))["added"] == 1
    assert state.calls.count("POST /api/token/refresh") == 2


def test_what_is_wrong_is_said(campaign, tmp_path):
    state = stand_in.State()
    here = ["--label-studio", "http://127.0.0.1:9", "--tries", 2]
    assert "--key-file" in campaign("push", *here, code=2, LABEL_STUDIO_API_KEY="")
    for url in ("ftp://x", "http://", "http://me:secret@host", "host:80", "http://h/?a=b"):
        assert "is no address" in campaign("push", "--label-studio", url, "--key-file", campaign.key, code=2)
    said = campaign("pull", *here, "--key-file", campaign.key, code=1)
    assert "nobody listens there (2 tries)" in said and "nothing is done twice" in said
    with stand_in.Server(state) as server:
        there = ["--label-studio", server.url, "--tries", 2]
        (tmp_path / "other").write_text("wrong")
        assert "refuses the key (401)" in campaign("push", *there, "--key-file", tmp_path / "other", code=6)
        (tmp_path / "other").write_text("two words")
        assert "more than one word" in campaign("push", *there, "--key-file", tmp_path / "other", code=2)
        assert "no project of this campaign" in campaign("pull", *there, "--key-file", campaign.key, code=6)
        assert "--project" in campaign("pull", *there, "--key-file", campaign.key, "--project", 9, code=6)
        state.faults = [302]
        assert "sends to another address" in campaign("push", *there, "--key-file", campaign.key, code=6)
        state.faults = [500] * 9
        assert "it answers 500 a fault (2 tries)" in campaign("push", *there, "--key-file", campaign.key, code=1)
        state.faults = []
        campaign.push(server)
        wrong = choice("clog")
        two = {"result": [{"from_name": "label", "type": "choices", "value": {"choices": ["boot", "sandal"]}}]}
        state.annotate(1, wrong)
        state.annotate(2, two)
        state.annotate(3, choice("boot"))
        assert "nothing is recorded (--strict)" in campaign("pull", *there, "--key-file", campaign.key, "--strict", code=6)
        done = campaign.pull(server)
        assert (done["added"], done["refused"]) == (1, 2)
        state.delete(3)  # a refused answer beside it hides no deletion
        assert campaign.pull(server)["withdrawn"] == 1
        assert all(h["Host"] == server.url[7:] for h in state.headers)


FORMATS = {"label-studio": "label_studio.json", "prodigy": "prodigy.jsonl", "potato": "potato.jsonl", "doccano": "doccano.jsonl",
           "cvat": "cvat.xml"}


@pytest.mark.parametrize("name", FORMATS)
def test_answers_in_the_files_of_tools(campaign, name):
    """The examples are as the tools write them; of each three items are answered, one of them otherwise by another person."""
    file = EXAMPLES / FORMATS[name]
    first = campaign.json("ingest", "--labels", file, "--format", name, "--source", name, "--by", "ann")
    assert (first["added"], first["labels"], first["refused"]) == (3, 3, 1), first
    assert campaign.labels() == {"item-1": "boot", "item-2": "sandal", "item-3": "boot"}
    again = campaign.json("ingest", "--labels", file, "--format", name, "--source", name, "--by", "ann")
    assert (again["added"], again["known"], again["labels"]) == (0, 3 + (name in ("label-studio", "prodigy")), 0)
    refused = campaign.place / "refused.csv"
    campaign("ingest", "--labels", file, "--format", name, "--source", name, "--refused", refused)
    place, why = refused.read_text().splitlines()[1].split(",", 1)
    assert {"label-studio": "5", "prodigy": "5", "potato": "4", "doccano": "5", "cvat": "22"}[name] == place, why
    assert "nothing is recorded" in campaign("ingest", "--labels", file, "--format", name, "--source", "x", "--strict", code=6)
    (campaign.place / "wrong").write_text("<html>\nno\n" if name != "cvat" else "<annotations>\n<image>\n")
    said = campaign("ingest", "--labels", campaign.place / "wrong", "--format", name, "--source", "x", code=6)
    assert "wrong" in said and ("line" in said or "JSON array" in said), said
    for other, foreign in FORMATS.items():
        if other != name:
            campaign("ingest", "--labels", EXAMPLES / foreign, "--format", name, "--source", "x", code=6)


def test_the_state_that_potato_keeps_of_a_person(campaign):
    done = campaign.json("ingest", "--labels", EXAMPLES / "potato_user_state.json", "--format", "potato", "--source", "potato")
    assert (done["added"], done["labels"]) == (2, 2)
    assert {a["by"] for a in campaign.events("answer")} == {"debug_user"}


def test_batches_as_the_files_of_tools(campaign):
    def lines(name, *more):
        return [json.loads(line) for line in campaign("export", "batch", "--round", 1, "--format", name, *more).splitlines()]

    batch = campaign.batch()
    tasks = json.loads(campaign("export", "batch", "--round", 1, "--format", "label-studio", "--media", "http://m/"))
    assert [t["data"]["item"] for t in tasks] == batch and tasks[0]["data"]["image"].startswith("http://m/photos/")
    prodigy = lines("prodigy")
    assert [t["meta"]["item"] for t in prodigy] == batch and prodigy[0]["options"][1] == {"id": "sandal", "text": "sandal"}
    assert [t["id"] for t in lines("potato")] == batch
    doccano = lines("doccano")
    assert [t["item"] for t in doccano] == batch and doccano[0]["label"] == [] and doccano[0]["text"].startswith("words, ")
    assert "images themselves" in campaign("export", "batch", "--round", 1, "--format", "cvat", code=2)
    assert "--format is of a batch" in campaign("export", "labels", "--format", "prodigy", code=2)
    # There and back: the answers to the file that was handed out.
    (campaign.place / "back.jsonl").write_text("".join(json.dumps(t | {"answer": "accept", "accept": ["boot"], "_annotator_id": "p",
                                                                       "_timestamp": 9}) + "\n" for t in prodigy))
    assert campaign.json("ingest", "--labels", campaign.place / "back.jsonl", "--format", "prodigy", "--source", "p")["labels"] == 12


def test_a_campaign_that_shows_nothing_says_so(tmp_path):
    campaign = Campaign(tmp_path, SETTINGS.split("[labelling]")[0])
    assert "[labelling]" in campaign("export", "batch", "--round", 1, "--format", "prodigy", code=2)
