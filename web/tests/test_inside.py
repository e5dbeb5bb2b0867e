"""The inside view: faults and the recovery from them. And the whole page in the dark, on a phone, for everybody."""

import re
import time

from harness import PHONE, PageTest, User, expect, send

# While a function is killed again and again.
POSTS = 12


class Faults(PageTest):
    def switch(self, name):
        button = self.inside.get_by_role("button", name=name, exact=True)
        pressed = button.get_attribute("aria-pressed") == "true"
        button.click()
        expect(button).to_have_attribute("aria-pressed", str(not pressed).lower())

    def test_no_post_is_lost_or_doubled_while_functions_are_killed(self):
        author, reader = User("fay_author"), User("fay_reader")
        reader.follow(author.id)
        self.open()
        feed = self.sign_in("fay_reader")
        self.switch("Duplicate")
        self.switch("Reorder")
        texts = [f"Post {number} of {POSTS}" for number in range(POSTS)]
        for text in texts:
            self.inside.get_by_role("button", name="Kill").click()
            author.post(text)
        expect(self.inside.get_by_text("Fanout was killed, and worked again")).to_be_visible(timeout=30_000)
        self.switch("Duplicate")
        self.switch("Reorder")
        deadline = time.monotonic() + 60
        while not send("GET", "/dev/status")["idle"]:
            self.assertLess(time.monotonic(), deadline, "the stack comes to rest")
        feed.get_by_role("button", name="Home").click()
        expect(feed.get_by_role("article")).to_have_count(POSTS)
        shown = feed.get_by_role("article").locator(".text").all_text_contents()
        self.assertEqual(shown, texts[::-1])

    def test_a_paused_post_waits_in_the_table_and_goes_on(self):
        self.open()
        self.sign_in("Paula Pause")
        self.switch("Pause")
        self.write("Waits for a while")
        row = self.inside.get_by_role("row").filter(has_text="Paula Pause")
        expect(row.first).to_contain_text("…")
        self.page.wait_for_timeout(1_000)
        expect(row.first).to_contain_text("…")
        self.switch("Pause")
        expect(row.first).not_to_contain_text("…")
        total = re.search(r"(\d+) ms$", row.first.inner_text().strip())
        self.assertGreater(int(total[1]), 1_000)

    def test_a_throttled_function_is_a_clear_message_and_comes_back(self):
        self.open()
        feed = self.sign_in("Thora Throttle")
        self.inside.get_by_label("Function", exact=True).select_option("GetFeed")
        self.switch("Throttle")
        feed.get_by_role("button", name="Trending").click()
        expect(feed.get_by_text("does not answer, or is throttled")).to_be_visible()
        self.switch("Throttle")
        feed.get_by_role("button", name="Try again").click()
        expect(feed.get_by_text("does not answer, or is throttled")).to_have_count(0)
        expect(feed.get_by_role("feed", name="Trending")).to_be_attached()


class OnAPhone(PageTest):
    viewport = PHONE

    def test_a_post_is_followed_although_the_inside_view_was_not_shown(self):
        self.open()
        self.sign_in("Phoebe Phone")
        expect(self.inside).to_be_hidden()
        self.write("Written on a phone")
        expect(self.side().get_by_role("article").first).to_contain_text("Written on a phone")
        self.page.get_by_role("button", name="Inside").click()
        expect(self.side()).to_be_hidden()
        row = self.inside.get_by_role("row").filter(has_text="Phoebe Phone")
        expect(row.first).to_contain_text(re.compile(r"\d+ ms$"))
        self.page.get_by_role("button", name="Feed").click()
        expect(self.side().get_by_role("article").first).to_contain_text("Written on a phone")


class EveryView(PageTest):
    """Every view, with checks of accessibility and of its width."""

    def setUp(self):
        super().setUp()
        name = type(self).__name__.lower()
        self.author, self.reader = User(f"{name}_author", "Vera View"), User(f"{name}_reader", "Rita Reader")
        self.reader.follow(self.author.id)
        self.post = self.author.post("A post to look at, with a #tag and https://example.org/")
        self.author.comment(self.post, "A comment")
        self.reader.call("PUT", f"/v1/posts/{self.post}/like")

    def test_every_view_is_accessible_and_fits(self):
        self.open()
        feed = self.sign_in(self.reader.id)
        expect(feed.get_by_role("article").first).to_be_visible()
        author = self.author.id
        views = [
            {"view": "home", "order": "personalized"},
            {"view": "trending"},
            {"view": "tag", "tag": "tag"},
            {"view": "post", "post": self.post},
            {"view": "profile", "user": author},
            {"view": "followers", "user": author},
            {"view": "people"},
            {"view": "mutes"},
            {"view": "settings"},
        ]
        for view in views:
            self.page.evaluate("view => document.querySelector('tidings-client').go(view)", view)
            expect(feed.get_by_text("Loading")).to_have_count(0)
            self.check_accessibility(view["view"])
            self.assertEqual(self.overflow(), [], view["view"])
        self.page.get_by_role("button", name="Inside").click()
        expect(self.inside).to_be_visible()
        expect(self.inside.get_by_role("row").filter(has_text="GetFeed").first).to_be_visible()
        self.check_accessibility("inside")
        self.assertEqual(self.overflow(), [])


class EveryViewOnAPhone(EveryView):
    viewport = PHONE


class EveryViewInTheDark(EveryView):
    viewport = PHONE
    dark = True

    def setUp(self):
        super().setUp()
        self.page.emulate_media(reduced_motion="reduce")


class EveryViewWide(EveryView):
    """The inside view is beside the feed here, so its button would hide it."""

    dark = True

    def test_every_view_is_accessible_and_fits(self):
        self.open()
        feed = self.sign_in(self.reader.id)
        expect(feed.get_by_role("article").first).to_be_visible()
        expect(self.inside.get_by_role("row").filter(has_text="GetFeed").first).to_be_visible()
        self.check_accessibility("wide")
        self.assertEqual(self.overflow(), [])


del EveryView
