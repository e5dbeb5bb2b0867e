//! The routes of searches.

use super::{ApiError, Paging, PeoplePage, Person, Post, PostsPage, User, walk};

impl User {
    /// `GET /v1/search/posts`, `newest` or `top` first, explained, one page.
    pub async fn search(
        &self,
        query: &str,
        order: &str,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<PostsPage, ApiError> {
        let page = Paging::page(limit, cursor);
        let paging = Paging { q: Some(query), order: Some(order), explain: Some(true), ..page };
        self.get("/v1/search/posts", &paging).await
    }

    /// All pages of a search for posts.
    pub async fn walk_search(&self, query: &str, order: &str, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| {
            let page = self.search(query, order, limit, cursor.as_deref()).await?;
            Ok((page.posts, page.next_cursor))
        })
        .await
    }

    /// `GET /v1/search/users`, one page.
    pub async fn search_users(&self, query: &str, limit: u32, cursor: Option<&str>) -> Result<PeoplePage, ApiError> {
        self.get("/v1/search/users", &Paging { q: Some(query), ..Paging::page(limit, cursor) }).await
    }

    /// All pages of a search for users.
    pub async fn walk_search_users(&self, query: &str, limit: u32) -> Result<Vec<Person>, ApiError> {
        walk(async |cursor| {
            let page = self.search_users(query, limit, cursor.as_deref()).await?;
            Ok((page.users, page.next_cursor))
        })
        .await
    }
}
