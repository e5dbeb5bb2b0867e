"""Makes the pictures of the README: the feed beside the inside view, and two users, light and dark.

Run it with `web/test --screenshots`. It needs fonts for many scripts, such as Debian's fonts-noto-core, fonts-noto-cjk
and fonts-noto-color-emoji. Look at the pictures before you commit them.
"""

import re

from harness import ROOT, browser, expect, send, stack

IMAGES = ROOT / "docs" / "images"
# How long the demo runs before the pictures are taken, so that there is something to see.
LIFE_MS = 25_000
VIEWPORT = {"width": 1360, "height": 840}
POSTS = {
    "light": "Good morning! The first tomatoes are red 🍅 #gardening",
    "dark": "Good night! Saturn is high in the south 🪐 #astronomy",
}


def main():
    IMAGES.mkdir(exist_ok=True)
    for scheme in ("light", "dark"):
        context = browser().new_context(viewport=VIEWPORT, color_scheme=scheme, base_url=stack())
        page = context.new_page()
        page.goto("/")
        feed, inside = page.locator("#pane-a"), page.locator("#pane-inside")
        feed.get_by_label("Sign in as").fill("Ada")
        feed.get_by_role("button", name="Sign in", exact=True).click()
        expect(feed.get_by_label("What is new?")).to_be_visible()
        begin = inside.get_by_role("button", name="Bring it to life")
        if begin.is_visible():
            begin.click()
            follow_some(feed, page)
        expect(inside.get_by_role("button", name=re.compile("40 users"))).to_be_visible(timeout=120_000)
        page.wait_for_timeout(LIFE_MS)
        feed.get_by_role("button", name="Home").click()
        feed.get_by_label("What is new?").fill(POSTS[scheme])
        feed.get_by_role("button", name="Post", exact=True).click()
        expect(feed.get_by_role("article").first).to_contain_text(POSTS[scheme][:10])
        # The dot is on its way.
        page.wait_for_timeout(900)
        page.screenshot(path=IMAGES / f"console-{scheme}.png")
        page.get_by_role("button", name="Inside").click()
        page.get_by_role("button", name="Second user").click()
        second = page.locator("#pane-b")
        second.get_by_label("Sign in as").fill("Kenji")
        second.get_by_role("button", name="Sign in", exact=True).click()
        expect(second.get_by_label("What is new?")).to_be_visible()
        second.get_by_role("button", name="Trending").click()
        expect(second.get_by_role("article").first).to_be_visible()
        second.locator("summary").first.click()
        feed.get_by_role("button", name="Home").click()
        expect(feed.get_by_role("article").first).to_be_visible()
        page.screenshot(path=IMAGES / f"console-users-{scheme}.png")
        context.close()
    send("POST", "/dev/demo", {"running": False})


def follow_some(feed, page):
    """Ada follows a few users of the demo, as soon as they are there."""
    for handle in ("maya_lindgren", "kenji_tanaka", "amara_okafor", "yousef_haddad", "minjun_park", "eleni_pappa"):
        page.evaluate(
            """async (handle) => {
                const { api } = document.querySelector("tidings-client");
                const pause = () => new Promise((done) => { setTimeout(done, 1000); });
                for (let tries = 0; tries < 30; tries += 1) {
                    try {
                        return await api.put(`/v1/users/@${handle}/follow`);
                    } catch {
                        await pause();
                    }
                }
                throw new Error(`nobody is ${handle}`);
            }""",
            handle,
        )


if __name__ == "__main__":
    main()
