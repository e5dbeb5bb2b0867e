"""The page after a fault: it asks again by itself, keeps what the user wrote, and shows what heals itself."""

import json
import re
import urllib.request

from harness import PHONE, PageTest, User, expect, send

# Few enough for the seats of one box.
PAUSED_POSTS = 4
# Longer than a poll of a queue by the local stack.
POLL_MS = 1_500


def queue_of(name):
    """The address of a queue of the stack, and that of its server."""
    server = send("GET", "/dev/status")["endpoints"]["sqs"]
    return server, f"{server}/000000000000/{name}"


def put_into(queue, body):
    """Sends a message to a queue of the stack, as a function does."""
    server, url = queue_of(queue)
    document = json.dumps({"QueueUrl": url, "MessageBody": body}).encode()
    headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    with urllib.request.urlopen(urllib.request.Request(server, data=document, headers=headers), timeout=60):
        pass


class Back(PageTest):
    def test_a_view_that_was_opened_offline_shows_itself_when_the_server_is_back(self):
        self.open()
        feed = self.sign_in("Olaf Off")
        self.context.set_offline(True)
        feed.get_by_role("button", name="People").click()
        feed.get_by_role("link", name="Muted").click()
        expect(feed.get_by_text("cannot be reached").first).to_be_visible()
        feed.get_by_role("button", name=re.compile("Olaf")).click()
        expect(feed.get_by_role("button", name="Try again")).to_be_visible()
        expect(self.page.locator("#offline")).to_be_visible()
        self.context.set_offline(False)
        # No view asks regularly here, so the page does.
        expect(feed.get_by_role("heading", name="Olaf Off")).to_be_visible()
        expect(self.page.locator("#offline")).to_be_hidden()

    def test_the_inside_view_connects_again_after_it_was_refused(self):
        refused = []

        def refuse(route):
            if refused:
                return route.fallback()
            refused.append(route)
            return route.fulfill(status=503, json={"message": "too many already watch"})

        self.page.route("**/dev/live", refuse)
        self.open()
        expect(self.inside.get_by_text("cannot be reached")).to_be_visible()
        expect(self.inside.get_by_text("cannot be reached")).to_have_count(0)
        expect(self.inside.get_by_role("row").filter(has_text="PublishEvents")).to_be_visible()

    def test_a_profile_that_the_system_has_forgotten_is_made_again_and_the_draft_is_kept(self):
        self.open()
        feed = self.sign_in("Fiona Forgotten")
        lost = {"status": 409, "code": "profile_required", "title": "Conflict", "type": "about:blank"}
        self.page.route("**/v1/posts", lambda route: route.fulfill(status=409, json=lost))
        not_there = {"status": 404, "code": "profile_not_found", "title": "Not Found", "type": "about:blank"}
        asked = []

        def me(route):
            asked.append(route.request.method)
            return route.fulfill(status=404, json=not_there) if asked == ["GET"] else route.fallback()

        self.page.route("**/v1/me", me)
        self.write("Not lost")
        expect(feed.get_by_label("What is new?")).to_have_value("Not lost")
        self.page.wait_for_function("() => document.querySelector('tidings-client').session.profile !== null")
        self.assertEqual(asked, ["GET", "PUT"])
        self.page.unroute("**/v1/posts")
        feed.get_by_role("button", name="Post", exact=True).click()
        expect(feed.get_by_role("article").first).to_contain_text("Not lost")


class Drafts(PageTest):
    def test_an_edit_that_was_cancelled_is_forgotten(self):
        self.open()
        feed = self.sign_in("Carl Cancel")
        self.write("As it was")
        first = feed.get_by_role("article").first
        expect(first).to_contain_text("As it was")
        first.get_by_role("button", name="Edit").click()
        feed.get_by_label("Edit the post").fill("As it should not be")
        feed.get_by_role("button", name="Cancel", exact=True).click()
        first.get_by_role("button", name="Edit").click()
        expect(feed.get_by_label("Edit the post")).to_have_value("As it was")


class Focus(PageTest):
    def test_the_focus_goes_on_at_the_view_that_was_opened(self):
        self.open()
        feed = self.sign_in("Fritz Focus")
        feed.get_by_role("button", name="People").press("Enter")
        expect(feed.get_by_label("Handle")).to_be_visible()
        expect(feed.locator(".view")).to_be_focused()
        self.page.keyboard.press("Tab")
        expect(feed.get_by_label("Handle")).to_be_focused()


class Disturbed(PageTest):
    def test_a_command_function_that_was_killed_is_said_to_work_again(self):
        self.open()
        self.sign_in("Kilian Kill")
        self.write("Before")
        expect(self.side().get_by_role("article").first).to_contain_text("Before")
        self.inside.get_by_label("Function", exact=True).select_option("CreatePost")
        self.inside.get_by_role("button", name="Kill").click()
        expect(self.inside.get_by_text(re.compile(r"Killed \d+ process(es)? of CreatePost"))).to_be_visible()
        self.write("After")
        expect(self.inside.get_by_text(re.compile("CreatePost was killed, and worked again after"))).to_be_visible()
        expect(self.side().get_by_role("article").first).to_contain_text("After")

    def test_a_throttled_function_is_named_although_another_one_is_chosen(self):
        self.open()
        select = self.inside.get_by_label("Function", exact=True)
        select.select_option("GetFeed")
        self.inside.get_by_role("button", name="Throttle").click()
        select.select_option("Fanout")
        expect(select.locator("option", has_text="GetFeed (throttled)")).to_have_count(1)
        expect(self.inside.get_by_role("button", name="Throttle")).to_have_attribute("aria-pressed", "false")

    def test_posts_that_wait_stand_side_by_side(self):
        author = User("quentin_queue")
        self.open()
        expect(self.inside.locator("[data-box=publish]")).to_contain_text("process")
        send("POST", "/dev/sources", {"paused": True})
        author.posts([f"Waits {number}" for number in range(PAUSED_POSTS)])
        dots = self.inside.locator("circle.dot")
        expect(dots).to_have_count(PAUSED_POSTS)
        expect(self.inside.locator("[data-box=publish]")).to_contain_text("paused")
        self.page.wait_for_function("() => document.getAnimations().every(({ playState }) => playState === 'finished')")
        places = dots.evaluate_all("dots => dots.map(dot => Math.round(dot.getBoundingClientRect().x))")
        self.assertEqual(len(set(places)), PAUSED_POSTS)
        self.assertGreaterEqual(min(b - a for a, b in zip(sorted(places), sorted(places)[1:])), 10)
        send("POST", "/dev/sources", {"paused": False})
        expect(dots).to_have_count(0)

    def test_what_sources_give_up_is_seen_until_it_is_recovered_or_needs_a_person(self):
        self.open()
        failed, quarantine = (self.inside.locator(f"[data-box={name}]") for name in ("failed", "quarantine"))
        expect(failed).to_contain_text("0 given up")
        before = int(re.search(r"(\d+) for a person", quarantine.text_content())[1])
        send("POST", "/dev/sources", {"paused": True})
        # A poll that has begun takes messages for another second.
        self.page.wait_for_timeout(POLL_MS)
        put_into("tidings-FailedBatches", "no report of a source")
        expect(failed).to_contain_text("1 given up")
        expect(failed).to_have_class(re.compile("bad"))
        send("POST", "/dev/sources", {"paused": False})
        # Recover cannot read this message, so a person has to.
        expect(failed).to_contain_text("0 given up")
        expect(quarantine).to_contain_text(f"{before + 1} for a person")
        expect(self.inside.locator("[data-box=recover]")).to_contain_text("process")
        expect(self.inside.locator("[data-box=audit]")).to_be_attached()


    def test_a_post_whose_batch_was_given_up_arrives_when_deliver_has_written_its_rows(self):
        self.open()
        way = self.page.evaluate("""async () => {
            const { Paths } = await import("/console/inside/paths.js");
            const stages = [];
            const paths = new Paths((path, stage) => stages.push(stage));
            const batch = { source: "kinesis", records: [{ type: "tidings.post.created.v1", id: "ada/7", post: "p" }] };
            const row = (user) => ({ table: "tidings-Timelines", pk: `HOME#${user}`, sk: "p", deleted: false });
            paths.request({ at: 100, ms: 5, user: "ada", status: 201, version: 7, location: "/v1/posts/p",
                route: "POST /v1/posts" });
            paths.started({ invocation: 1, at: 110, function: "Fanout", ...batch });
            paths.ended({ invocation: 1, at: 120, function: "Fanout", outcome: "crashed" });
            paths.written({ at: 900, function: "Deliver", items: [row("ada")] });
            paths.written({ at: 905, function: "Deliver", items: [row("bob")] });
            const [{ began, recovered, homes }] = paths.newest(1);
            return { stages, ms: recovered - began, homes: homes.size };
        }""")
        self.assertEqual(way, {"stages": ["command", "fanout", "deliver", "delivered"], "ms": 805, "homes": 2})


class Requests(PageTest):
    def test_each_request_is_shown_with_what_it_cost(self):
        self.open()
        self.sign_in("Rosa Request")
        self.write("What does this cost?")
        table = self.inside.get_by_role("region", name="The latest requests")
        row = table.get_by_role("row").filter(has_text="POST /v1/posts").filter(has_text="Rosa Request")
        expect(row.first).to_contain_text(re.compile(r"201\s*\d+ ms\s*[1-9]\d*\s*[\d.]+\s*[1-9][\d.]*"))


class Demo(PageTest):
    def test_the_users_of_a_running_demo_follow_whoever_signs_in(self):
        send("POST", "/dev/demo", {"running": True})
        self.open()
        expect(self.inside.get_by_role("button", name="Stop the demo")).to_be_visible()
        feed = self.sign_in("Vito Visitor")
        feed.get_by_role("button", name="Vito Visitor").click()

        def followers():
            feed.get_by_role("button", name="Vito Visitor").click()
            expect(feed.get_by_text(re.compile(r"\d+ followers?"))).to_be_visible()
            return int(re.search(r"(\d+) follower", feed.inner_text())[1])

        for _ in range(60):
            if followers() > 30:
                break
            self.page.wait_for_timeout(500)
        self.assertGreater(followers(), 30)


class Narrow(PageTest):
    viewport = PHONE

    def test_the_whole_diagram_is_on_the_screen_of_a_phone(self):
        self.open()
        self.page.get_by_role("button", name="Inside").click()
        expect(self.inside.locator(".diagram.narrow [data-box]").first).to_be_visible()
        edges = self.inside.locator("[data-box]").evaluate_all(
            "boxes => boxes.map(box => box.getBoundingClientRect()).map(({ left, right }) => [left, right])")
        self.assertGreater(len(edges), 10)
        self.assertTrue(all(left >= 0 and right <= PHONE["width"] for left, right in edges), edges)
        # Turned, it has five columns.
        self.page.set_viewport_size({"width": 800, "height": 390})
        expect(self.inside.locator(".diagram.wide")).to_be_visible()
