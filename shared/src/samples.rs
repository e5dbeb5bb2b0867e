//! Values for unit tests: users, profiles and posts.

use crate::{
    command::Turn,
    model::{
        CommandId, Post, PostId, Profile, PublicProfile, Standing, TallyShard, Text, Timestamp, Totals, UserId, Version,
    },
    query::FeedPost,
    store::cards::PostCard,
};

/// The present moment.
pub(crate) const NOW: Timestamp = Timestamp::from_ms(1_425_000_000_000);

pub(crate) fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// The public profile of a user with this handle.
pub(crate) fn shown(handle: &str) -> PublicProfile {
    PublicProfile {
        handle: handle.parse().unwrap(),
        display_name: "A Name".to_owned().try_into().unwrap(),
        avatar_url: None,
    }
}

/// The profile of a user whose id is the handle.
pub(crate) fn profile(handle: &str) -> Profile {
    Profile {
        user: user(handle),
        public: shown(handle),
        created_at: Timestamp::from_ms(5),
        suspended: false,
        version: version(2),
    }
}

/// A new post by ada.
pub(crate) fn post() -> Post {
    let text = Text::try_from("hello #you".to_owned()).unwrap();
    Post {
        post: PostId::new(NOW),
        author: user("ada"),
        tags: text.tags(),
        tags_ever: text.tags(),
        mentioned: Vec::new(),
        text: Some(text),
        version: 1,
        moderations: 0,
        event_version: version(4),
        edited_at: None,
        taken_down_at: None,
        deleted_at: None,
    }
}

/// A post as a reader sees it.
pub(crate) fn feed_post(post: PostId, author: UserId, heat: i64) -> FeedPost {
    let post = Post { post, author, ..self::post() };
    FeedPost::new(PostCard { heat, ..PostCard::new(post, profile("ada")) }, false)
}

/// The turn in which the ninth event of a user is decided.
pub(crate) fn turn() -> Turn {
    let (command, shard) = (CommandId::new(NOW), TallyShard::default());
    Turn { version: version(9), standing: Standing::Active, totals: Totals::default(), command, shard, at: NOW }
}
