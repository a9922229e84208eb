"""The page in a real browser: keys alone, a server that dies, a network that is cut, two people, what a screen reader gets.

    page.py POOLWISE [SCREENSHOTS]       Chromium and its driver (Debian), selenium and axe-core (make test-page)
"""
import importlib.util
import pathlib
import shutil
import statistics
import struct
import sys
import time
import zlib

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from serving import PASSWORD, Caller, Served, command_of

CUT_SECONDS = 60


def browser(width=1280, height=800, phone=False, dark=False):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for one in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", f"--window-size={width},{height}"):
        options.add_argument(one)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if phone:
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1, "touch": True}})
    made = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    if dark:
        made.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    return made


def wait(for_what, seconds=20, what="the page"):
    end = time.monotonic() + seconds
    while not (got := for_what()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)
    return got


def come_in(driver, at, name, password=None):
    driver.get(f"http://127.0.0.1:{at.port}/")
    fields = wait(lambda: driver.find_elements(By.CSS_SELECTOR, ".login input"), what="the login")
    fields[0].clear()
    fields[0].send_keys(name)
    if password:
        fields[1].send_keys(password)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    wait(lambda: driver.find_elements(By.CSS_SELECTOR, "#tabs a"), what="the page after the login")


def shown(driver):
    return driver.execute_script("return document.getElementById('item') && document.getElementById('item').getAttribute('aria-label')")


def key(driver, which):
    driver.switch_to.active_element.send_keys(which)


def unsent(driver):
    return driver.execute_script("return Object.keys(localStorage).filter((k) => k.startsWith('poolwise.out.')).length")


def labels_of(at):
    """item: label, each once."""
    labels = {}
    for event in at.events():
        if event["kind"] == "label":
            assert event["body"]["item"] not in labels or "replaces" in event["body"], "a label is doubled"
            labels[event["body"]["item"]] = event["body"]["label"]
    return labels


def no_complaints(driver):
    bad = [one["message"] for one in driver.get_log("browser") if one["level"] == "SEVERE" and "ERR_" not in one["message"] and "status of" not in one["message"]]
    assert not bad, bad
    foreign = [line for line in (one["message"] for one in driver.get_log("performance")) if '"Network.requestWillBeSent"' in line and
               '"url":"http' in line and '"url":"http://127.0.0.1' not in line]
    assert not foreign, foreign[:2]


def keyboard_alone(command):
    at, driver = Served(command, items=330), browser()
    try:
        come_in(driver, at, "anna")
        driver.execute_script("window.mice = 0; for (const n of ['mousedown', 'click', 'touchstart', 'pointerdown'])"
                              " addEventListener(n, (e) => { if (e.isTrusted && e.detail) ++window.mice; }, true)")
        wait(lambda: shown(driver), what="an item")
        given = {}
        for number in range(300):
            before = wait(lambda: shown(driver), what="an item")
            digit = number % 3
            key(driver, str(digit + 1))
            given[before.removeprefix("Item ")] = ["circle", "square", "stripes"][digit]
            wait(lambda: shown(driver) != before, what="the next item")
        key(driver, "u")  # the last one was wrong
        wait(lambda: driver.find_elements(By.CSS_SELECTOR, ".label.chosen"), what="the undone label")
        last = shown(driver).removeprefix("Item ")
        key(driver, "1")
        given[last] = "circle"
        skipped = wait(lambda: shown(driver) if shown(driver) != f"Item {last}" else None, what="the next item")
        key(driver, "s")
        wait(lambda: shown(driver) != skipped, what="an item after the skipped one")
        wait(lambda: unsent(driver) == 0, what="all to be sent")
        took = driver.execute_script("return performance.getEntriesByName('next').map((e) => e.duration)")
        assert driver.execute_script("return window.mice") == 0
        assert labels_of(at) == given
        no_complaints(driver)
        middle = statistics.median(took)
        assert middle < 50, middle
        print(f"keyboard alone: 300 items, key to next item {middle:.1f} ms in the median, {max(took):.0f} ms at most")
    finally:
        driver.quit()
        at.close()


def killed_and_cut(command):
    at, driver = Served(command, items=80), browser()
    try:
        come_in(driver, at, "anna")
        given = {}

        def label(count):
            for number in range(count):
                before = wait(lambda: shown(driver), what="an item")
                key(driver, "123"[number % 3])
                given[before.removeprefix("Item ")] = ["circle", "square", "stripes"][number % 3]
                wait(lambda: shown(driver) != before, what="the next item")

        for _ in range(4):  # dies between keys, and with some under way
            label(4)
            at.kill()
            label(3)
            at.start()
            wait(lambda: unsent(driver) == 0, 40, "what was kept to be sent")
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        label(3)
        time.sleep(CUT_SECONDS)
        label(2)
        assert unsent(driver) == 5
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False, "downloadThroughput": -1, "uploadThroughput": -1})
        wait(lambda: unsent(driver) == 0, 40, "what was kept to be sent")
        assert labels_of(at) == given, (len(labels_of(at)), len(given))
        print(f"killed 4 times and cut for {CUT_SECONDS} s: {len(given)} labels, each once")
    finally:
        driver.quit()
        at.close()


def two_people(command):
    at, drivers = Served(command, items=60), [browser(), browser()]
    try:
        for driver, name in zip(drivers, ("anna", "ben")):
            come_in(driver, at, name)
        seen = [set(), set()]
        for _ in range(20):
            for mine, driver in zip(seen, drivers):
                before = wait(lambda: shown(driver), what="an item")
                mine.add(before)
                key(driver, "1")
                wait(lambda: shown(driver) != before or not shown(driver), what="the next item")
        assert not seen[0] & seen[1] and len(seen[0]) == len(seen[1]) == 20
        print("two browsers: 40 items, none before both")
    finally:
        for driver in drivers:
            driver.quit()
        at.close()


def png(kind, shade, size=96):
    inside = {"circle": lambda x, y: (x - 48) ** 2 + (y - 48) ** 2 < 900, "square": lambda x, y: abs(x - 48) < 28 and abs(y - 48) < 28,
              "stripes": lambda x, y: (x + y) // 12 % 2}[kind]
    rows = b"".join(b"\0" + b"".join(bytes((shade, 110, 220 - shade // 2) if inside(x, y) else (24, 26, 40)) for x in range(size)) for y in range(size))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def looked_at(command, screenshots):
    """Every page by axe-core, at each size, with texts that would like to be scripts; and pictures of them."""
    axe = (pathlib.Path(importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0]) / "axe.min.js").read_text()
    at = Served(command, items=40, overlap=2, note="Frame {} of the camera at the gate.", strange_files=False, people=[("rita", "manager"), ("anna", "annotator"), ("ben", "annotator"), ("carl", "auditor")])
    try:
        evil = '<img src=x onerror="window.evil=1"><script>window.evil=1</script>'
        (at.folder / "img" / "a.png").write_bytes(png("circle", 200))
        rita, anna, ben = (Caller(at, name) for name in ("rita", "anna", "ben"))
        rita.call("POST", "/api/guideline", {"text": f"# Shapes\n\nA **shape** is what is brighter than the ground.\n- A circle has no corners.\n- A square has four.", "after": 0})
        for person, label in ((anna, "circle"), (ben, "circle")):
            for number, item in enumerate(person.work(12)):
                person.call("POST", "/api/labels", {"key": item, "item": item, "label": "square" if number % 5 == 1 and person is ben else label, "seconds": 2 + number % 3})
        rita.call("POST", "/api/people", {"name": "dora", "role": "annotator", "password": PASSWORD, "off": True})
        item = anna.call("GET", "/api/mine")[1]["recent"][0]["item"]
        anna.call("POST", "/api/flags", {"key": "f", "item": item, "why": evil})
        print("proposed", anna.call("POST", "/api/proposals", {"key": "p", "item": item, "label": "stripes", "why": "The edge is striped; see the guideline."})[0])
        sizes = {"desktop": {}, "phone": {"width": 390, "height": 844, "phone": True}, "dark": {"dark": True}, "zoomed": {"width": 640, "height": 400}}
        serious, pages = [], 0
        for size, how in sizes.items():
            driver = browser(**how)
            come_in(driver, at, "rita", PASSWORD)
            for page in ("label", "many", "review", "conflicts", "guideline", "dashboard", "people"):
                driver.get(f"http://127.0.0.1:{at.port}/#{'label' if page == 'many' else page}")
                wait(lambda: not driver.execute_script("return document.getElementById('main').hasAttribute('aria-busy')"))
                wait(lambda: shown(driver) or page != "label", what="an item")
                if page == "many":
                    key(driver, "b")
                    wait(lambda: driver.find_elements(By.CSS_SELECTOR, ".cell"), what="many items")
                time.sleep(0.6 if page != "dashboard" else 2)
                assert driver.execute_script("return window.evil") is None
                wide = driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
                assert wide <= 1, f"{page} at {size}: {wide} px too wide"
                driver.execute_script(axe)
                found = driver.execute_async_script("const done = arguments[0]; axe.run(document, {iframes: false}).then((r) => done(r.violations), (e) => done(String(e)))")
                pages += 1
                serious += [f"{page} at {size}: {one['id']}: {one['nodes'][0]['html'][:160]}" for one in found if one["impact"] in ("serious", "critical")]
                if screenshots and size in ("desktop", "phone"):
                    driver.save_screenshot(str(screenshots / f"{page}-{size}.png"))
                if page == "many":
                    key(driver, "b")
            no_complaints(driver)
            driver.quit()
        assert not serious, "\n".join(serious)
        print(f"axe-core: {pages} pages at {len(sizes)} sizes, no serious finding; no script of theirs ran; nothing foreign was asked for")
    finally:
        at.close()


if __name__ == "__main__":
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        print("not run: there is no chromium with its driver")
        sys.exit(77)
    poolwise = command_of(sys.argv)
    for part in (keyboard_alone, two_people, killed_and_cut):
        part(poolwise)
    looked_at(poolwise, pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None)
