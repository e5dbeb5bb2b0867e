"""Search, and an author's numbers."""

import re

from harness import PageTest, User, expect

# How often a test looks again for what projections still have to bring.
LOOKS_MAX = 60


class Looking(PageTest):
    def look(self, button, wanted):
        """Presses a button of a choice until projections have brought something."""
        for _ in range(LOOKS_MAX):
            self.side().get_by_role("group").get_by_role("button", name=button, exact=True).click()
            self.page.wait_for_timeout(500)
            if wanted.count() > 0:
                break
        expect(wanted.first).to_be_visible()


class Search(Looking):
    def search(self, text):
        feed = self.side()
        feed.get_by_label("Search for").fill(text)
        feed.get_by_role("search").get_by_role("button", name="Search").click()

    def test_posts_and_people_are_found_and_a_wrong_query_says_why(self):
        User("sid_searched", "Sid Searched")
        self.open()
        feed = self.sign_in("Sally Search")
        self.write("A walk among quixotic windmills #holland")
        expect(feed.get_by_role("article").first).to_contain_text("quixotic")
        feed.get_by_role("navigation").get_by_role("button", name="Search", exact=True).click()
        self.search('"quixotic windmills" #holland -giants')
        found = feed.get_by_role("article").filter(has_text="A walk among quixotic windmills")
        expect(found).to_have_count(1)
        self.check_accessibility("search")
        self.search("quixotic giants")
        expect(feed.get_by_text("No post has all of this.")).to_be_visible()
        self.search("unknown:operator")
        expect(feed.locator("tidings-list .note")).to_have_text(re.compile("colon"))
        expect(feed.get_by_role("button", name="Try again")).to_have_count(0)
        self.page.go_back()
        expect(feed.get_by_label("Search for")).to_have_value("quixotic giants")
        self.page.go_back()
        expect(found).to_have_count(1)
        self.look("Best posts", found)
        self.search("sid sea")
        self.look("People", feed.get_by_role("list").get_by_text("@sid_searched"))


class Statistics(Looking):
    def test_an_author_sees_the_numbers_of_each_day(self):
        self.open()
        feed = self.sign_in("Stan Statistics")
        self.write("One of today")
        expect(feed.get_by_role("article").first).to_contain_text("One of today")
        feed.get_by_role("navigation").get_by_role("button", name="Stan Statistics").click()
        feed.get_by_role("button", name="Your numbers").click()
        rows = feed.get_by_role("table", name="Numbers of each day").get_by_role("row")
        self.look("7 days", rows.nth(1).get_by_role("cell").first)
        expect(rows).to_have_count(8)
        expect(rows.nth(1)).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d1"))
        expect(feed.locator("rect.bar")).to_have_count(1)
        self.check_accessibility("statistics")
        self.look("90 days", rows.nth(90))
        self.assertEqual(self.overflow(), [])
