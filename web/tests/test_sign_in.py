"""Signing in: with a token, with an OpenID Connect provider, and again after the token has expired."""

import base64
import hashlib
import html
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from harness import PageTest, User, expect, send, stack


class Provider(BaseHTTPRequestHandler):
    """An OpenID Connect provider whose tokens come from the stack. It signs everybody in as `user`."""

    user = "olga_oidc"
    challenges = {}

    def do_GET(self):
        url = urlsplit(self.path)
        here = f"http://{self.headers['Host']}"
        if url.path == "/.well-known/openid-configuration":
            return self.answer(200, {"authorization_endpoint": f"{here}/authorize", "token_endpoint": f"{here}/token"})
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256", query
        code = str(len(self.challenges))
        self.challenges[code] = query
        back = f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        # A redirection would not pass through the route that the test sets.
        self.wfile.write(f'<meta http-equiv="refresh" content="0;url={html.escape(back)}">'.encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        sent = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.challenges.pop(sent["code"])
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        known = all(asked[name] == sent[name] for name in ("client_id", "redirect_uri"))
        if challenge != asked["code_challenge"] or not known or sent["grant_type"] != "authorization_code":
            return self.answer(400, {"error": "invalid_grant"})
        return self.answer(200, {"access_token": send("POST", "/dev/token", {"user": self.user})["token"]})

    def answer(self, status, document):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_):
        pass


class SignIn(PageTest):
    def test_with_a_token(self):
        user = User("tess_token")
        self.open()
        feed = self.side()
        feed.get_by_text("Sign in with a token").click()
        field = feed.get_by_label("A token of the API's issuer")
        field.fill("nonsense")
        feed.get_by_role("button", name="Use this token").click()
        expect(feed.get_by_role("alert").filter(has_text="not a token")).to_be_visible()
        field.fill(user.token)
        feed.get_by_role("button", name="Use this token").click()
        expect(feed.get_by_role("button", name="tess_token")).to_be_visible()

    def test_again_after_the_token_has_expired_and_the_draft_is_kept(self):
        User("exa_pired")
        expired = send("POST", "/dev/token", {"user": "exa_pired", "expires_in": -5})["token"]
        self.open()
        feed = self.sign_in("exa_pired")
        feed.get_by_label("What is new?").fill("Still here")
        # Every token is refused, so the page cannot get another one by itself.
        self.page.route("**/dev/token", lambda route: route.fulfill(status=200, json={"token": expired}))
        self.page.evaluate("token => { document.querySelector('tidings-client').session.token = token; }", expired)
        feed.get_by_role("button", name="Post", exact=True).click()
        expect(feed.get_by_role("alert").filter(has_text="Sign in again")).to_be_visible()
        self.page.unroute("**/dev/token")
        self.sign_in("exa_pired")
        expect(feed.get_by_label("What is new?")).to_have_value("Still here")

    def test_a_taken_handle_is_said_and_another_one_is_asked_for(self):
        User("taken_handle")
        self.open()
        feed = self.side()
        feed.get_by_label("Sign in as").fill("Taken Handle")
        feed.get_by_role("button", name="Sign in", exact=True).click()
        expect(feed.get_by_text("This handle is taken")).to_be_visible()
        feed.get_by_label("Handle: a to z").fill("another_handle")
        feed.get_by_role("button", name="Create profile").click()
        expect(feed.get_by_label("What is new?")).to_be_visible()

    def test_with_an_openid_connect_provider(self):
        provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
        self.addCleanup(provider.shutdown)
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        issuer = f"http://127.0.0.1:{provider.server_port}"
        oidc = {"issuer": issuer, "client_id": "console"}
        config = {"api": "", "development": False, "oidc": oidc, "connect": [issuer]}

        # The page below does not come from a server, so Chromium asks before it may call one on this machine.
        self.context.grant_permissions(["local-network-access"])

        def page(route):
            # As the stack does with such a config.json.
            answer = route.fetch()
            policy = {"content-security-policy": f"{answer.headers['content-security-policy']} {issuer}"}
            route.fulfill(body=answer.text(), headers={**answer.headers, **policy})

        self.page.route(lambda url: urlsplit(url).path == "/" and url.startswith(stack()), page)
        self.page.route("**/config.json", lambda route: route.fulfill(json=config))
        self.open()
        self.side().get_by_role("button", name="Sign in with 127.0.0.1").click()
        expect(self.side().get_by_label("What is new?")).to_be_visible()
        expect(self.side().get_by_role("button", name=Provider.user)).to_be_visible()
        self.assertEqual(urlsplit(self.page.url).query, "")
        # Elsewhere than on the local stack, the page shows what its own requests cost.
        expect(self.inside.get_by_role("row").filter(has_text="GET /v1/feeds/home").first).to_be_visible()


