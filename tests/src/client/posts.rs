//! The routes of posts, likes, comments and feeds.

use percent_encoding::utf8_percent_encode;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    Accepted, ApiError, Comment, CommentsPage, HomePage, NewPosts, Paging, Post, PostsFound, PostsPage, SEGMENT, User,
    post_path, user_path, walk,
};

impl User {
    /// `POST /v1/posts`, with an `Idempotency-Key` if there is one.
    pub async fn post(&self, text: &str, key: Option<&str>) -> Result<Accepted<Post>, ApiError> {
        self.write(Method::POST, "/v1/posts", text, key, StatusCode::CREATED).await
    }

    /// `GET /v1/posts/{post}`.
    pub async fn get_post(&self, post: &str) -> Result<Post, ApiError> {
        self.get(&post_path(post, ""), &Paging::default()).await
    }

    /// `PATCH /v1/posts/{post}`.
    pub async fn edit_post(&self, post: &str, text: &str) -> Result<Accepted<Post>, ApiError> {
        self.write(Method::PATCH, &post_path(post, ""), text, None, StatusCode::OK).await
    }

    /// `DELETE /v1/posts/{post}`.
    pub async fn delete_post(&self, post: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &post_path(post, "")).await
    }

    /// `PUT /v1/posts/{post}/like`.
    pub async fn like(&self, post: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::PUT, &post_path(post, "/like")).await
    }

    /// `DELETE /v1/posts/{post}/like`.
    pub async fn unlike(&self, post: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &post_path(post, "/like")).await
    }

    /// `POST /v1/posts/{post}/comments`, with an `Idempotency-Key` if there is one.
    pub async fn comment(&self, post: &str, text: &str, key: Option<&str>) -> Result<Accepted<Comment>, ApiError> {
        self.write(Method::POST, &post_path(post, "/comments"), text, key, StatusCode::CREATED).await
    }

    /// `GET /v1/posts/{post}/comments/{comment}`.
    pub async fn get_comment(&self, post: &str, comment: &str) -> Result<Comment, ApiError> {
        self.get(&comment_path(post, comment), &Paging::default()).await
    }

    /// `DELETE /v1/posts/{post}/comments/{comment}`.
    pub async fn delete_comment(&self, post: &str, comment: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &comment_path(post, comment)).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        text: &str,
        key: Option<&str>,
        status: StatusCode,
    ) -> Result<Accepted<T>, ApiError> {
        let request = self.request(method, path).json(&json!({ "text": text }));
        let with_key = |request: RequestBuilder, key| request.header("Idempotency-Key", key);
        let request = key.into_iter().fold(request, with_key);
        let answer = self.send(request).await?.expect(status)?;
        Ok(Accepted { value: answer.json()?, version: answer.version()? })
    }

    /// `GET /v1/posts/{post}/comments`, one page, `oldest` or `newest` first.
    pub async fn comments(
        &self,
        post: &str,
        order: &str,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<CommentsPage, ApiError> {
        let paging = Paging { order: Some(order), ..Paging::page(limit, cursor) };
        self.get(&post_path(post, "/comments"), &paging).await
    }

    /// `GET /v1/feeds/home`, one page.
    pub async fn home(&self, limit: u32, cursor: Option<&str>) -> Result<HomePage, ApiError> {
        self.get("/v1/feeds/home", &Paging::page(limit, cursor)).await
    }

    /// `GET /v1/feeds/home?newer_than=…`: what is new, and with a limit the oldest new posts.
    pub async fn newer(&self, newer_than: &str, limit: Option<u32>) -> Result<NewPosts, ApiError> {
        self.get("/v1/feeds/home", &Paging { limit, newer_than: Some(newer_than), ..Paging::default() }).await
    }

    /// `GET /v1/posts?ids=…`.
    pub async fn posts_by_id(&self, ids: &[&str]) -> Result<Vec<Post>, ApiError> {
        let found: PostsFound = self.get("/v1/posts", &Paging::of_ids(ids)).await?;
        Ok(found.posts)
    }

    /// All posts that this user likes.
    pub async fn walk_liked(&self, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| {
            let page: PostsPage = self.get("/v1/me/likes", &Paging::page(limit, cursor.as_deref())).await?;
            Ok((page.posts, page.next_cursor))
        })
        .await
    }

    /// `GET /v1/feeds/home` in this order, explained, one page.
    pub async fn home_by(&self, order: &str, limit: u32, cursor: Option<&str>) -> Result<HomePage, ApiError> {
        let paging = Paging { order: Some(order), explain: Some(true), ..Paging::page(limit, cursor) };
        self.get("/v1/feeds/home", &paging).await
    }

    /// `GET /v1/feeds/trending`, explained, one page.
    pub async fn trending(&self, limit: u32, cursor: Option<&str>) -> Result<PostsPage, ApiError> {
        let paging = Paging { explain: Some(true), ..Paging::page(limit, cursor) };
        self.get("/v1/feeds/trending", &paging).await
    }

    /// `GET /v1/tags/{tag}/posts`, one page.
    pub async fn posts_with(&self, tag: &str, limit: u32, cursor: Option<&str>) -> Result<PostsPage, ApiError> {
        self.get(&format!("/v1/tags/{}/posts", utf8_percent_encode(tag, SEGMENT)), &Paging::page(limit, cursor)).await
    }

    /// `GET /v1/users/{user}/posts`, one page.
    pub async fn posts_of(&self, user: &str, limit: u32, cursor: Option<&str>) -> Result<PostsPage, ApiError> {
        self.get(&user_path(user, "/posts"), &Paging::page(limit, cursor)).await
    }

    /// All pages of a post's comments.
    pub async fn walk_comments(&self, post: &str, order: &str, limit: u32) -> Result<Vec<Comment>, ApiError> {
        walk(async |cursor| {
            let page = self.comments(post, order, limit, cursor.as_deref()).await?;
            Ok((page.comments, page.next_cursor))
        })
        .await
    }

    /// All pages of a post's comments, oldest first, with those that are hidden from this user.
    pub async fn walk_all_comments(&self, post: &str, limit: u32) -> Result<Vec<Comment>, ApiError> {
        walk(async |cursor| {
            let paging = Paging { include_hidden: Some(true), ..Paging::page(limit, cursor.as_deref()) };
            let page: CommentsPage = self.get(&post_path(post, "/comments"), &paging).await?;
            Ok((page.comments, page.next_cursor))
        })
        .await
    }

    /// All pages of the home feed, `limit` posts at a time. Trending posts are left out: they fill the homes of users
    /// who follow nobody.
    pub async fn walk_home(&self, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| Ok(of_home(self.home(limit, cursor.as_deref()).await?))).await
    }

    /// Like [`User::walk_home`], in this order.
    pub async fn walk_home_by(&self, order: &str, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| Ok(of_home(self.home_by(order, limit, cursor.as_deref()).await?))).await
    }

    /// All pages of the trending feed.
    pub async fn walk_trending(&self, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| {
            let page = self.trending(limit, cursor.as_deref()).await?;
            Ok((page.posts, page.next_cursor))
        })
        .await
    }

    /// All pages of the posts with a tag. Empty if no post has the tag.
    pub async fn walk_posts_with(&self, tag: &str, limit: u32) -> Result<Vec<Post>, ApiError> {
        let walked = walk(async |cursor| {
            let page = self.posts_with(tag, limit, cursor.as_deref()).await?;
            Ok((page.posts, page.next_cursor))
        });
        match walked.await {
            Err(ApiError::Status { code: Some(code), .. }) if code == "tag_not_found" => Ok(Vec::new()),
            walked => walked,
        }
    }

    /// All pages of an author's posts.
    pub async fn walk_posts_of(&self, user: &str, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| {
            let page = self.posts_of(user, limit, cursor.as_deref()).await?;
            Ok((page.posts, page.next_cursor))
        })
        .await
    }
}

/// The path of a comment.
fn comment_path(post: &str, comment: &str) -> String {
    post_path(post, &format!("/comments/{}", utf8_percent_encode(comment, SEGMENT)))
}

/// The posts of a page that belong to the home itself, and the next cursor.
fn of_home(page: HomePage) -> (Vec<Post>, Option<String>) {
    let whole = page.posts.len();
    let posts: Vec<_> = page.posts.into_iter().take_while(|post| post.source.is_none()).collect();
    let next_cursor = page.next_cursor.filter(|_| posts.len() == whole);
    (posts, next_cursor)
}
