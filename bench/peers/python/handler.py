"""A peer of GetFeed for the benchmark `cpu`: a home page with boto3. It reads the same items."""

import http.client
import json
import os

import boto3

PAGE = 20
LIKES = 100
# The item of a home that notes the last visit. It is no post, and newer than all.
VISIT = "ffffffff-ffff-7fff-bfff-ffffffffffff"
TABLES = {name: os.environ[f"{name}_TABLE"] for name in ("VIEWERS", "TIMELINES", "CARDS", "COMMANDS")}
dynamodb = boto3.client("dynamodb")


def number(card, name):
    return int(card[name]["N"]) if name in card else 0


def home(event):
    user = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    key = {"PK": {"S": f"USER#{user}"}}
    if "Item" not in dynamodb.get_item(TableName=TABLES["VIEWERS"], Key=key):
        return {"statusCode": 404}
    rows = dynamodb.query(
        TableName=TABLES["TIMELINES"],
        KeyConditionExpression="PK = :timeline AND SK >= :first",
        ExpressionAttributeValues={":timeline": {"S": f"HOME#{user}"}, ":first": {"S": "0"}},
        ScanIndexForward=False,
        Limit=PAGE + 2,
    )["Items"]
    ids = [row["SK"]["S"] for row in rows if row["SK"]["S"] != VISIT][: PAGE + 1]
    keys = [{"PK": {"S": f"POST#{post}"}} for post in ids]
    cards = dynamodb.batch_get_item(RequestItems={TABLES["CARDS"]: {"Keys": keys}})["Responses"][TABLES["CARDS"]]
    likes = dynamodb.query(
        TableName=TABLES["COMMANDS"],
        KeyConditionExpression="PK = :user AND SK BETWEEN :oldest AND :newest",
        ExpressionAttributeValues={
            ":user": key["PK"],
            ":oldest": {"S": f"LIKES#{ids[-1]}"},
            ":newest": {"S": f"LIKES#{ids[0]}"},
        },
        Limit=LIKES,
    )["Items"]
    cards = {card["post"]["S"]: card for card in cards}
    likes = {like["SK"]["S"]: like["liked"]["BOOL"] for like in likes}
    posts = []
    for post in ids[:PAGE]:
        card = cards[post]
        author = card["author_profile"]["M"]
        posts.append({
            "id": post,
            "author": {
                "id": card["author"]["S"],
                "handle": author["handle"]["S"],
                "display_name": author["display_name"]["S"],
                "avatar_url": None,
            },
            "text": card["text"]["S"],
            "tags": [tag["S"] for tag in card["tags"]["L"]],
            "likes": number(card, "likes"),
            "comments": number(card, "comments"),
            "version": number(card, "version"),
            "liked": likes.get(f"LIKES#{post}", False),
        })
    body = json.dumps({"posts": posts, "next_cursor": ids[PAGE] if len(ids) > PAGE else None})
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body, "isBase64Encoded": False}


def main():
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        api.request("GET", "/2018-06-01/runtime/invocation/next")
        invocation = api.getresponse()
        event = json.loads(invocation.read())
        request = invocation.headers["lambda-runtime-aws-request-id"]
        answer = json.dumps(home(event))
        api.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", answer)
        api.getresponse().read()


main()
