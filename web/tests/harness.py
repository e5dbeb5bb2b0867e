"""A local stack, a browser, and a client of the API for the tests of the console."""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import threading
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
# From start to ready, including the build of the functions.
START_SECONDS_MAX = 1800
# Tests create more posts than one user may send in an hour.
PARAMETERS = [f"{name}=1000000" for name in ("PostsPerHour", "CommentsPerHour", "FollowsPerDay", "LikesPerHour")]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 800}

# Long enough for a busy machine. What succeeds does not wait.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@cache
def stack():
    """The URL of a stack, which ends with this process."""
    program = ROOT / "target" / "debug" / "tidings-local"
    arguments = [argument for parameter in PARAMETERS for argument in ("--parameter", parameter)]
    command = [program, "--port", "0", "--exit-with-parent", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    atexit.register(stop, process)
    patience = threading.Timer(START_SECONDS_MAX, process.kill)
    patience.start()
    for line in process.stdout:
        if line.startswith("Tidings listens on "):
            patience.cancel()
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return line.split()[-1]
    sys.exit("the stack did not start")


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


@cache
def browser():
    playwright = sync_playwright().start()
    launched = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"])
    # Registered after the stack, so that it runs before: the page is gone before its server.
    stack()
    atexit.register(playwright.stop)
    atexit.register(launched.close)
    return launched


def send(method, path, body=None, token=None):
    """Sends a request to the stack. Returns the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(stack() + path, method=method, data=data)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
    return json.loads(text) if text else None


def undisturbed():
    """Ends what a failed test may have left behind."""
    send("POST", "/dev/sources", {"paused": False})
    send("POST", "/dev/chaos", {"duplicate_records": False, "reorder_records": False})
    send("POST", "/dev/throttle", {"function": "GetFeed", "throttled": False})
    send("POST", "/dev/demo", {"running": False})


class User:
    """A user with a profile, who acts through the API and not through the page."""

    def __init__(self, handle, name=None):
        self.id = handle
        self.token = send("POST", "/dev/token", {"user": handle})["token"]
        self.call("PUT", "/v1/me", {"handle": handle, "display_name": name or handle})

    def call(self, method, path, body=None):
        return send(method, path, body, self.token)

    def post(self, text):
        return self.call("POST", "/v1/posts", {"text": text})["id"]

    def posts(self, texts):
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.post, texts))

    def comment(self, post, text):
        return self.call("POST", f"/v1/posts/{post}/comments", {"text": text})["id"]

    def follow(self, other):
        self.call("PUT", f"/v1/users/{other}/follow")


class PageTest(unittest.TestCase):
    """A test with a page. It fails if the page throws, violates its content security policy, or opens a dialog."""

    viewport = DESKTOP
    dark = False

    def setUp(self):
        scheme = "dark" if self.dark else "light"
        self.context = browser().new_context(viewport=self.viewport, color_scheme=scheme, base_url=stack())
        self.addCleanup(self.context.close)
        self.context.set_default_timeout(PATIENCE_MS)
        self.problems = []
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("console", self.heard)
        self.addCleanup(undisturbed)

    def heard(self, message):
        if re.search("Content Security Policy|Refused to", message.text):
            self.problems.append(message.text)

    def tearDown(self):
        self.assertEqual(self.problems, [])

    def open(self):
        self.page.goto("/")

    def side(self, side="a"):
        return self.page.locator(f"#pane-{side}")

    @property
    def inside(self):
        return self.page.locator("#pane-inside")

    def sign_in(self, name, side="a"):
        """Signs in through the page, which makes a profile if there is none."""
        pane = self.side(side)
        pane.get_by_label("Sign in as").fill(name)
        pane.get_by_role("button", name="Sign in", exact=True).click()
        expect(pane.get_by_label("What is new?")).to_be_visible()
        return pane

    def write(self, text, side="a"):
        pane = self.side(side)
        pane.get_by_label("What is new?").fill(text)
        pane.get_by_role("button", name="Post", exact=True).click()

    def overflow(self):
        """What is wider than its place: the page, or a part of it."""
        return self.page.evaluate("""() => {
            const wide = [document.scrollingElement, ...document.querySelectorAll(".pane, .post, .post .text")];
            const named = (element) => `${element.tagName}.${element.className}: ${element.scrollWidth}`;
            return wide.filter((element) => element.scrollWidth > element.clientWidth + 1).map(named);
        }""")

    def check_accessibility(self, name):
        """No serious finding of axe-core."""
        found = Axe().run(self.page).response["violations"]
        serious = [
            f"{name}: {violation['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for violation in found
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]
        self.assertEqual(serious, [])
