// A peer of GetFeed for the benchmark `cpu`: a home page with the AWS SDK for JavaScript v3. It reads the same items in
// the same two round trips.
"use strict";

const http = require("node:http");
const { BatchGetItemCommand, DynamoDBClient, GetItemCommand, QueryCommand } = require("@aws-sdk/client-dynamodb");

const PAGE = 20;
const LIKES = 100;
// The item of a home that notes the last visit. It is no post, and newer than all.
const VISIT = "ffffffff-ffff-7fff-bfff-ffffffffffff";
const { VIEWERS_TABLE, TIMELINES_TABLE, CARDS_TABLE, COMMANDS_TABLE, AWS_LAMBDA_RUNTIME_API } = process.env;
const dynamodb = new DynamoDBClient({});
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

async function home(event) {
  const user = event.requestContext.authorizer.jwt.claims.sub;
  const key = { PK: { S: `USER#${user}` } };
  const [viewer, rows] = await Promise.all([
    dynamodb.send(new GetItemCommand({ TableName: VIEWERS_TABLE, Key: key })),
    dynamodb.send(new QueryCommand({
      TableName: TIMELINES_TABLE,
      KeyConditionExpression: "PK = :timeline AND SK >= :first",
      ExpressionAttributeValues: { ":timeline": { S: `HOME#${user}` }, ":first": { S: "0" } },
      ScanIndexForward: false,
      Limit: PAGE + 2,
    })),
  ]);
  if (!viewer.Item) return { statusCode: 404 };
  const ids = rows.Items.map((row) => row.SK.S).filter((id) => id !== VISIT).slice(0, PAGE + 1);
  const [cards, likes] = await Promise.all([
    dynamodb.send(new BatchGetItemCommand({
      RequestItems: { [CARDS_TABLE]: { Keys: ids.map((post) => ({ PK: { S: `POST#${post}` } })) } },
    })),
    dynamodb.send(new QueryCommand({
      TableName: COMMANDS_TABLE,
      KeyConditionExpression: "PK = :user AND SK BETWEEN :oldest AND :newest",
      ExpressionAttributeValues: {
        ":user": key.PK,
        ":oldest": { S: `LIKES#${ids.at(-1)}` },
        ":newest": { S: `LIKES#${ids[0]}` },
      },
      Limit: LIKES,
    })),
  ]);
  const cardOf = new Map(cards.Responses[CARDS_TABLE].map((card) => [card.post.S, card]));
  const liked = new Map(likes.Items.map((like) => [like.SK.S, like.liked.BOOL]));
  const posts = ids.slice(0, PAGE).map((post) => {
    const card = cardOf.get(post);
    const author = card.author_profile.M;
    return {
      id: post,
      author: {
        id: card.author.S,
        handle: author.handle.S,
        display_name: author.display_name.S,
        avatar_url: null,
      },
      text: card.text.S,
      tags: card.tags.L.map((tag) => tag.S),
      likes: Number(card.likes?.N ?? 0),
      comments: Number(card.comments?.N ?? 0),
      version: Number(card.version.N),
      liked: liked.get(`LIKES#${post}`) ?? false,
    };
  });
  const body = JSON.stringify({ posts, next_cursor: ids[PAGE] ?? null });
  return { statusCode: 200, headers: { "content-type": "application/json" }, body, isBase64Encoded: false };
}

function send(method, path, body) {
  const [host, port] = AWS_LAMBDA_RUNTIME_API.split(":");
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, method, host, port, path }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts) }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function main() {
  for (;;) {
    const { headers, body } = await send("GET", "/2018-06-01/runtime/invocation/next");
    const answer = JSON.stringify(await home(JSON.parse(body)));
    const request = headers["lambda-runtime-aws-request-id"];
    await send("POST", `/2018-06-01/runtime/invocation/${request}/response`, answer);
  }
}

main();
