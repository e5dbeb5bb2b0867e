"""The feed: a newcomer's first minutes, own writes, scrolling, hostile texts, offline, keyboard, two users."""

import re
import time

from harness import PHONE, PageTest, User, expect, send, stack

POSTS = 300
# How often a test scrolls or presses a key before it gives up.
ARROWS_MAX = 60

HOSTILE_NAMES = [
    "<img src=x onerror=alert(1)>",
    "Zo\u0301\u0301\u0301\u0301\u0301e\u0301\u0301\u0301\u0301\u0301",
    "M" * 50,
    "שלום עולם",
    "👩‍👩‍👧‍👦" * 10,
]
HOSTILE_TEXTS = [
    "<script>alert(1)</script><svg onload=alert(2)>",
    "javascript:alert(1) https://example.org/\"onmouseover=alert(1) [x](javascript:alert(1))",
    "\u202e" + "right to left override " * 5,
    "x" * 300,
    "o" + "\u0310\u0311\u0312" * 200,
    "\n".join("line" for _ in range(60)),
    "#" + "tag" * 20 + " @somebody_else &lt;b&gt; ${7*7} {{7*7}}",
    "https://example.org/" + "path/" * 50,
    "\u2066\u2067\u2068 isolates without an end #tag @ada_hostile",
    "👨‍👩‍👧‍👦" * 40,
]


class Newcomer(PageTest):
    def test_a_newcomer_sees_a_post_travel_within_three_minutes(self):
        began = time.monotonic()
        self.open()
        expect(self.side().get_by_role("heading", name="Welcome")).to_be_visible()
        self.check_accessibility("welcome")
        feed = self.sign_in("Nadia New")
        self.inside.get_by_role("button", name="Bring it to life").click()
        self.write("My first post #hello")
        expect(feed.get_by_role("article").first).to_contain_text("My first post")
        # The dot, which stands out, and the table with the times and the homes that have got the post.
        expect(self.inside.locator("circle.dot.own")).to_have_count(1)
        ways = self.inside.get_by_role("region", name="The latest posts on their way")
        row = ways.get_by_role("row").filter(has_text="Nadia New")
        expect(row.first).to_contain_text(re.compile(r"\d+ ms\s*\d+ ms\s*\d+ ms\s*\d+ ms\s*\d+\s*\d+ ms"))
        # The demo's users join, follow the newcomer, and write. A later post reaches all of them.
        stop = self.inside.get_by_role("button", name=re.compile("Stop the demo .*40 users"))
        expect(stop).to_be_visible(timeout=60_000)
        expect(self.inside.get_by_role("row").filter(has_text="POST /v1/posts").first).to_be_visible()
        feed.get_by_role("button", name="Trending").click()
        expect(feed.get_by_role("article").first).to_be_visible()
        stop.click()
        expect(self.inside.get_by_role("button", name="Bring it to life")).to_be_visible()
        self.assertLess(time.monotonic() - began, 180)


class OwnWrites(PageTest):
    def test_own_writes_are_visible_although_nothing_is_projected(self):
        other = User("orla_other")
        theirs = other.post("A post to comment on")
        User("ursula_unwanted")
        self.open()
        feed = self.sign_in("Owen Own")
        send("POST", "/dev/sources", {"paused": True})
        self.write("Visible at once")
        first = feed.get_by_role("article").first
        expect(first).to_contain_text("Visible at once")
        first.get_by_role("button", name="Edit").click()
        feed.get_by_label("Edit the post").fill("Edited at once")
        feed.get_by_role("button", name="Save").click()
        expect(first).to_contain_text("Edited at once")
        feed.get_by_role("button", name="Ranked").click()
        why = first.get_by_text("Why here? Score")
        why.click()
        expect(first).to_contain_text(re.compile("= recency [0-9.]+ × reactions 1 × affinity 1 × diversity 1"))
        feed.get_by_role("button", name="Newest").click()
        expect(why).to_have_count(0)
        expect(first).to_contain_text("Edited at once")
        feed.get_by_role("button", name="People").click()
        feed.get_by_label("Handle").fill("@orla_other")
        feed.get_by_role("button", name="Look up").click()
        feed.get_by_role("button", name="Follow", exact=True).click()
        expect(feed.get_by_role("button", name="Unfollow")).to_be_visible()
        self.page.evaluate("post => document.querySelector('tidings-client').go({ view: 'post', post })", theirs)
        feed.get_by_label("Your comment").fill("A comment at once")
        feed.get_by_role("button", name="Comment", exact=True).click()
        expect(feed.get_by_role("article").filter(has_text="A comment at once")).to_be_visible()
        feed.get_by_role("button", name="People").click()
        feed.get_by_label("Handle").fill("ursula_unwanted")
        feed.get_by_role("button", name="Look up").click()
        feed.get_by_role("button", name="Mute", exact=True).click()
        expect(feed.get_by_role("button", name="Unmute")).to_be_visible()
        feed.get_by_role("button", name="Block", exact=True).click()
        expect(feed.get_by_text("You block this user.")).to_be_visible()
        for name in ("Muted", "Blocked"):
            feed.get_by_role("button", name="People").click()
            feed.get_by_role("link", name=name).click()
            expect(feed.get_by_role("list").get_by_text("@ursula_unwanted")).to_be_visible()
        feed.get_by_role("button", name="Home").click()
        feed.get_by_role("article").filter(has_text="Edited at once").get_by_role("button", name="Delete").click()
        feed.get_by_role("button", name="Really delete?").click()
        expect(feed.get_by_text("Edited at once")).to_have_count(0)
        self.page.reload()
        expect(feed.get_by_label("What is new?")).to_be_visible()
        expect(feed.get_by_text("Edited at once")).to_have_count(0)


class Tags(PageTest):
    def test_the_author_is_told_which_tags_are_ignored(self):
        self.open()
        feed = self.sign_in("Tara Tags")
        self.write("#one #two #three #four #five #six")
        first = feed.get_by_role("article").first
        expect(first.get_by_text("#six is only text: a post has at most five tags.")).to_be_visible()
        expect(first.get_by_role("link", name="#five")).to_be_visible()
        expect(first.get_by_role("link", name="#six")).to_have_count(0)


class Scrolling(PageTest):
    def test_scrolling_through_300_posts_shows_each_once(self):
        authors = [User(f"scroll_{number}") for number in range(3)]
        reader = User("scroll_reader")
        for author in authors:
            reader.follow(author.id)
        written = [post for author in authors for post in author.posts(map(str, range(POSTS // 3)))]
        deadline = time.monotonic() + 60
        while not send("GET", "/dev/status")["idle"]:
            self.assertLess(time.monotonic(), deadline, "the stack comes to rest")
        answered = []
        is_home = lambda response: "/v1/feeds/home?" in response.url and "cursor=" in response.url
        self.page.on("response", lambda response: answered.append(response) if is_home(response) else None)
        self.open()
        feed = self.sign_in("scroll_reader")
        expect(feed.get_by_role("article").first).to_be_visible()
        end = feed.get_by_text("These are the posts of 30 days.")
        for _ in range(ARROWS_MAX):
            if end.is_visible():
                break
            feed.evaluate("pane => pane.scrollTo(0, pane.scrollHeight)")
            self.page.wait_for_timeout(100)
        expect(end).to_be_visible()
        shown = feed.locator("tidings-post").evaluate_all("posts => posts.map(post => post.dataset.post)")
        self.assertEqual(len(shown), POSTS)
        self.assertEqual(set(shown), set(written))
        self.assertEqual(shown, sorted(shown, reverse=True))
        # The page would hide a repetition, so the answers are compared, too.
        served = [post["id"] for response in answered for post in response.json()["posts"]]
        self.assertEqual(len(served), len(set(served)))


class Hostile(PageTest):
    def test_hostile_names_and_texts_are_only_text(self):
        reader = User("ada_hostile")
        post = None
        for number, name in enumerate(HOSTILE_NAMES):
            author = User(f"hostile_{number}", name)
            reader.follow(author.id)
            for text in HOSTILE_TEXTS[number::len(HOSTILE_NAMES)]:
                post = author.post(text)
                author.comment(post, text)
        self.open()
        feed = self.sign_in("ada_hostile")
        expect(feed.get_by_role("article")).to_have_count(len(HOSTILE_TEXTS))
        for viewport in (self.viewport, PHONE):
            self.page.set_viewport_size(viewport)
            self.page.wait_for_timeout(200)
            self.assertEqual(self.overflow(), [])
        self.page.set_viewport_size(self.viewport)
        self.check_accessibility("hostile")
        # Nothing of it is markup, and every link leads into the console or to a website.
        self.assertEqual(feed.locator("tidings-post :is(script, img, iframe, svg, style, b)").count(), 0)
        links = feed.locator("tidings-post a").evaluate_all("links => links.map(link => link.href)")
        self.assertTrue(links)
        for link in links:
            self.assertRegex(link, f"^(https://example\\.org/|{re.escape(stack())}/#$)")
        for _ in range(2):
            self.page.evaluate("post => document.querySelector('tidings-client').go({ view: 'post', post })", post)
            expect(feed.get_by_role("article")).to_have_count(2)
            self.assertEqual(self.overflow(), [])
        # Names are shown as they were written, without markup.
        feed.get_by_role("button", name="People").click()
        feed.get_by_label("Handle").fill("hostile_0")
        feed.get_by_role("button", name="Look up").click()
        expect(feed.get_by_role("heading", name="<img src=x onerror=alert(1)>")).to_be_visible()

    def test_a_hostile_user_id_can_sign_in(self):
        self.open()
        pane = self.side()
        pane.get_by_label("Sign in as").fill("\"><script>alert(1)</script> #?/%")
        pane.get_by_role("button", name="Sign in", exact=True).click()
        expect(pane.get_by_label("What is new?")).to_be_visible()
        self.write("Hello")
        expect(pane.get_by_role("article").first).to_contain_text("Hello")


class Offline(PageTest):
    def test_a_draft_survives_an_outage_and_is_published_once(self):
        self.open()
        feed = self.sign_in("Ophelia Off")
        self.context.set_offline(True)
        self.write("Written offline")
        expect(feed.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
        expect(self.page.locator("#offline")).to_be_visible()
        expect(feed.get_by_label("What is new?")).to_have_value("Written offline")
        self.context.set_offline(False)
        # The banner goes by itself, and the inside view is connected again.
        expect(self.page.locator("#offline")).to_be_hidden()
        expect(self.page.locator("tidings-inside.stale")).to_have_count(0)
        # Not even a reload loses the draft.
        self.page.reload()
        expect(feed.get_by_label("What is new?")).to_have_value("Written offline")
        # The answer to the first attempt is lost, as in an outage, so the user sends the post again.
        dropped = []

        def drop(route):
            if route.request.method == "POST" and not dropped:
                dropped.append(route.fetch())
                return route.abort()
            return route.fallback()

        self.page.route("**/v1/posts", drop)
        feed.get_by_role("button", name="Post", exact=True).click()
        expect(feed.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
        feed.get_by_role("button", name="Post", exact=True).click()
        expect(feed.get_by_label("What is new?")).to_have_value("")
        expect(feed.get_by_role("article").filter(has_text="Written offline")).to_have_count(1)


class Keyboard(PageTest):
    def test_everything_works_by_keyboard_alone(self):
        author = User("kay_author")
        author.post("A post for the keyboard")
        self.open()
        keys = self.page.keyboard
        self.reach("Sign in as")
        keys.press("Control+A")
        keys.type("Kim Keys")
        keys.press("Enter")
        feed = self.side()
        expect(feed.get_by_label("What is new?")).to_be_visible()
        self.reach("What is new?")
        keys.type("Typed only")
        keys.press("Control+Enter")
        expect(feed.get_by_role("article").first).to_contain_text("Typed only")
        self.reach("People")
        keys.press("Enter")
        expect(feed.get_by_label("Handle")).to_be_visible()
        self.reach("Handle")
        keys.type("kay_author")
        keys.press("Enter")
        expect(feed.get_by_role("button", name="Follow", exact=True)).to_be_visible()
        self.reach("Follow")
        keys.press("Space")
        expect(feed.get_by_role("button", name="Unfollow")).to_be_visible()
        self.reach("Like, 0 likes")
        keys.press("Space")
        expect(feed.get_by_role("button", name="Like, 1 like")).to_be_focused()
        self.reach("0 comments: open")
        keys.press("Enter")
        expect(feed.get_by_label("Your comment")).to_be_visible()
        self.reach("Your comment")
        keys.type("Commented by keyboard")
        keys.press("Control+Enter")
        expect(feed.get_by_role("article").filter(has_text="Commented by keyboard")).to_be_visible()
        self.reach("Back")
        keys.press("Enter")
        expect(feed.get_by_role("button", name="Unfollow")).to_be_visible()
        self.reach("Kill")
        keys.press("Enter")
        expect(self.inside.get_by_text(re.compile("Killed|no process|worked again"))).to_be_visible()

    def focused(self):
        return self.page.evaluate("""() => {
            const { activeElement: element } = document;
            return element.ariaLabel ?? element.labels?.[0]?.textContent ?? element.textContent;
        }""")

    def reach(self, name):
        """Presses Tab until the element with this name has the focus, which must be visible."""
        for _ in range(ARROWS_MAX * 2):
            self.page.keyboard.press("Tab")
            if self.focused() == name:
                outline = self.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                self.assertNotEqual(outline, "none", f"the focus on {name} is visible")
                return
        self.fail(f"{name} cannot be reached with the Tab key")


class People(PageTest):
    def look_up(self, feed, handle):
        feed.get_by_role("button", name="People").click()
        feed.get_by_label("Handle").fill(handle)
        feed.get_by_role("button", name="Look up").click()

    def test_a_follower_can_be_removed(self):
        follower, me = User("ruth_removed"), User("remo_remover")
        follower.follow(me.id)
        self.open()
        feed = self.sign_in(me.id)
        self.look_up(feed, follower.id)
        expect(feed.get_by_text("follows you")).to_be_visible()
        feed.get_by_role("button", name="Remove follower").click()
        expect(feed.get_by_role("button", name="Follow", exact=True)).to_be_visible()
        expect(feed.get_by_text("follows you")).to_have_count(0)
        expect(feed.get_by_role("button", name="Remove follower")).to_have_count(0)

    def test_nobody_is_asked_to_try_again_what_cannot_succeed(self):
        self.open()
        feed = self.sign_in("Nils Nobody")
        self.look_up(feed, "nobody_at_all")
        expect(feed.get_by_role("alert").filter(has_text="Nobody has this name")).to_be_visible()
        expect(feed.get_by_role("button", name="Try again")).to_have_count(0)
        feed.get_by_role("button", name="Go back").click()
        expect(feed.get_by_label("Handle")).to_be_visible()

    def test_a_user_who_blocks_is_named_once(self):
        blocker, me = User("bella_blocks"), User("bert_blocked")
        blocker.call("PUT", f"/v1/users/{me.id}/block")
        self.open()
        feed = self.sign_in(me.id)
        self.look_up(feed, blocker.id)
        expect(feed.get_by_text("This user blocks you.")).to_be_visible()
        expect(feed.get_by_text("@bella_blocks")).to_have_count(1)
        expect(feed.get_by_role("button", name="Follow", exact=True)).to_have_count(0)


class TwoUsers(PageTest):
    def test_two_users_side_by_side_hear_of_each_other(self):
        self.open()
        self.sign_in("Tilda Two")
        self.page.get_by_role("button", name="Second user").click()
        second = self.sign_in("Theo Two", "b")
        second.get_by_role("button", name="People").click()
        second.get_by_label("Handle").fill("tilda_two")
        second.get_by_role("button", name="Look up").click()
        second.get_by_role("button", name="Follow", exact=True).click()
        second.get_by_role("button", name="Home").click()
        expect(second.get_by_text("Nothing here yet.").or_(second.get_by_role("article").first)).to_be_visible()
        self.write("Hello Theo, and @theo_two")
        news = second.get_by_role("button", name="1 new post")
        expect(news).to_be_visible()
        news.click()
        article = second.get_by_role("article").first
        expect(article).to_contain_text("Hello Theo")
        article.get_by_role("link", name="@theo_two").click()
        expect(second.get_by_role("heading", name="Theo Two")).to_be_visible()
        self.page.go_back()
        expect(second.get_by_role("article").first).to_contain_text("Hello Theo")
        self.check_accessibility("two users")
