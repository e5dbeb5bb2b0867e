//! Compares what the system shows with what it must show.

use std::collections::{BTreeMap, BTreeSet};

use super::{Difference, Member, Model, Said, tags};
use crate::client::{ApiError, Comment, Person, Post, ProfileInput, PublicProfile, Relation, User};

/// A model, and what follows from it.
#[derive(Debug)]
pub struct Judge<'a> {
    pub(super) model: &'a Model,
    /// The author and the text of each post, by the post's id.
    pub(super) posts: BTreeMap<&'a str, (&'a str, &'a Said)>,
    likes: BTreeMap<&'a str, u64>,
    comments: BTreeMap<&'a str, u64>,
}

/// A list of posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The viewer's home.
    Home,
    /// The posts of this user.
    Author(String),
    /// The posts with this tag.
    Tag(String),
    /// All posts that the viewer may see anywhere.
    All,
}

impl<'a> Judge<'a> {
    /// A judge with this model.
    pub fn new(model: &'a Model) -> Self {
        let mut judge = Self { model, posts: BTreeMap::new(), likes: BTreeMap::new(), comments: BTreeMap::new() };
        for (id, member) in &model.members {
            judge.posts.extend(member.posts.iter().map(|(post, said)| (post.as_str(), (id.as_str(), said))));
            for post in member.likes.keys() {
                *judge.likes.entry(post).or_default() += 1;
            }
            for remark in member.comments.values() {
                *judge.comments.entry(&remark.post).or_default() += 1;
            }
        }
        judge
    }

    /// The author as shown in posts and lists.
    fn person(&self, id: &str) -> Option<Person> {
        let profile = self.model.members.get(id)?.profile.clone()?;
        let ProfileInput { handle, display_name, avatar_url } = profile;
        Some(Person { id: id.to_owned(), handle, display_name, avatar_url })
    }

    /// What a viewer must see of a post, without its times.
    fn post(&self, viewer: &str, id: &str) -> Option<Post> {
        let (author, said) = self.posts.get(id)?;
        let count = |counts: &BTreeMap<&str, u64>| counts.get(id).copied().unwrap_or_default();
        Some(Post {
            id: id.to_owned(),
            author: self.person(author)?,
            text: said.text.clone(),
            tags: tags(&said.text),
            created_at: String::new(),
            edited_at: (said.version > 1).then(String::new),
            version: said.version,
            likes: count(&self.likes),
            comments: count(&self.comments),
            liked: self.model.members.get(viewer).is_some_and(|member| member.likes.contains_key(id)),
            source: None,
            explain: None,
        })
    }

    /// The posts of `authors`, newest first. The ids are UUIDv7, so their order is the order in time.
    fn posts_of<'b>(&self, viewer: &str, authors: impl Iterator<Item = &'b str>) -> Vec<Post> {
        let shown = authors.filter(|author| !self.hides(viewer, author));
        let members = shown.filter_map(|author| self.model.members.get(author));
        let ids: BTreeSet<_> = members.flat_map(|member| member.posts.keys()).collect();
        ids.iter().rev().filter_map(|id| self.post(viewer, id)).collect()
    }

    /// INV-2: compares a whole home feed.
    pub fn compare_home(&self, viewer: &str, shown: &[Post]) -> Vec<Difference> {
        differences(viewer, "home", &self.home(viewer), &at_home(shown), true)
    }

    /// Compares a whole ranked home feed: the same posts, each once, in any order.
    pub fn compare_ranked_home(&self, viewer: &str, order: &str, shown: &[Post]) -> Vec<Difference> {
        differences(viewer, &format!("{order} home"), &self.home(viewer), &at_home(shown), false)
    }

    fn home(&self, viewer: &str) -> Vec<Post> {
        let follows = self.model.members.get(viewer).into_iter().flat_map(|member| &member.follows);
        self.posts_of(viewer, follows.map(String::as_str).chain([viewer]))
    }

    /// Whether the viewer must see nothing of this author (INV-7).
    pub(super) fn hides(&self, viewer: &str, author: &str) -> bool {
        let hidden = |member: &Member| member.mutes.contains(author) || member.blocks.contains(author);
        self.model.members.get(viewer).is_some_and(hidden)
    }

    /// Compares the whole list of an author's posts.
    pub fn compare_posts_of(&self, viewer: &str, author: &str, shown: &[Post]) -> Vec<Difference> {
        let expected = self.posts_of(viewer, [author].into_iter());
        differences(viewer, &format!("posts of {author}"), &expected, shown, true)
    }

    /// Every tag of every post.
    pub fn tags(&self) -> BTreeSet<String> {
        self.posts.values().flat_map(|(_, said)| tags(&said.text)).collect()
    }

    /// Compares the whole feed of a tag, for the posts that the model knows.
    pub fn compare_tag(&self, viewer: &str, tag: &str, shown: &[Post]) -> Vec<Difference> {
        differences(viewer, &format!("tag {tag}"), &self.tagged(viewer, tag), shown, true)
    }

    fn tagged(&self, viewer: &str, tag: &str) -> Vec<Post> {
        let tagged =
            self.posts.iter().rev().filter(|(_, (author, said))| {
                !self.hides(viewer, author) && tags(&said.text).contains(&tag.to_owned())
            });
        tagged.filter_map(|(id, _)| self.post(viewer, id)).collect()
    }

    /// The ids of the posts that a feed shows to the viewer.
    pub fn ids(&self, viewer: &str, feed: &Feed) -> BTreeSet<String> {
        let posts = match feed {
            Feed::Home => self.home(viewer),
            Feed::Author(author) => self.posts_of(viewer, [author.as_str()].into_iter()),
            Feed::Tag(tag) => self.tagged(viewer, tag),
            Feed::All => self.posts_of(viewer, self.model.members.keys().map(String::as_str)),
        };
        posts.into_iter().map(|post| post.id).collect()
    }

    /// Compares all comments on a post, oldest first.
    pub fn compare_comments(&self, viewer: &str, post: &str, shown: &[Comment]) -> Vec<Difference> {
        let members = self.model.members.iter();
        let mut expected: Vec<_> = members
            .flat_map(|(id, member)| member.comments.iter().map(move |(comment, remark)| (comment, id, remark)))
            .filter(|(_, author, remark)| remark.post == post && !self.hides(viewer, author))
            .map(|(comment, id, remark)| (comment.clone(), self.person(id), remark.text.clone()))
            .collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let shown: Vec<_> = shown
            .iter()
            .map(|comment| (comment.id.clone(), Some(comment.author.clone()), comment.text.clone()))
            .collect();
        let place = format!("comments on {post}");
        let problem = format!("expected {expected:?}, got {shown:?}");
        (expected != shown).then(|| Difference { viewer: viewer.to_owned(), place, problem }).into_iter().collect()
    }

    /// Compares everything that `viewer` can see of `subject`. Reads every list in pages of `limit`.
    pub async fn compare_user(&self, viewer: &User, subject: &str, limit: u32) -> Result<Vec<Difference>, ApiError> {
        let members = &self.model.members;
        let mut found = self.compare_posts_of(&viewer.id, subject, &viewer.walk_posts_of(subject, limit).await?);
        let mut expect = |place: &str, expected: String, shown: String| {
            if expected != shown {
                let problem = format!("expected {expected}, got {shown}");
                found.push(Difference { viewer: viewer.id.clone(), place: format!("{place} of {subject}"), problem });
            }
        };
        let followers = members.iter().filter(|(_, member)| member.follows.contains(subject)).map(|(id, _)| id);
        let followers: Vec<_> = followers.filter_map(|id| self.person(id)).collect();
        let following = members.get(subject).into_iter().flat_map(|member| &member.follows);
        let following: Vec<_> = following.filter_map(|id| self.person(id)).collect();
        let shown = viewer.walk_followers_of(subject, limit).await?;
        expect("followers", format!("{followers:?}"), format!("{shown:?}"));
        let shown = viewer.walk_followed_by(subject, limit).await?;
        expect("following", format!("{following:?}"), format!("{shown:?}"));

        let PublicProfile { id, handle, display_name, avatar_url, following: out, followers: into, relation, .. } =
            viewer.user(subject).await?;
        let shown = Person { id, handle, display_name, avatar_url };
        expect("profile", format!("{:?}", self.person(subject)), format!("{:?}", Some(shown)));
        expect("counts", format!("{:?}", (following.len(), followers.len())), format!("{:?}", (out, into)));
        let follows = |a: &str, b: &str| members.get(a).is_some_and(|member: &Member| member.follows.contains(b));
        let own = members.get(&viewer.id);
        let expected = Relation {
            following: follows(&viewer.id, subject),
            followed_by: follows(subject, &viewer.id),
            muted: own.is_some_and(|own| own.mutes.contains(subject)),
            blocked: own.is_some_and(|own| own.blocks.contains(subject)),
        };
        expect("relation", format!("{expected:?}"), format!("{relation:?}"));
        Ok(found)
    }
}

/// The posts that belong to a home itself. INV-2 says nothing about trending posts, which fill the homes of users who
/// follow nobody.
fn at_home(shown: &[Post]) -> Vec<Post> {
    shown.iter().filter(|post| post.source.as_deref() != Some("trending")).cloned().collect()
}

/// All differences between `shown` and `expected`.
fn differences(viewer: &str, place: &str, expected: &[Post], shown: &[Post], in_order: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut report = |problem: String| {
        found.push(Difference { viewer: viewer.to_owned(), place: place.to_owned(), problem });
    };
    let wanted: BTreeMap<&str, &Post> = expected.iter().map(|post| (post.id.as_str(), post)).collect();
    let mut seen = BTreeSet::new();
    for post in shown {
        let Post { id, author, .. } = post;
        if !seen.insert(id.as_str()) {
            report(format!("post {id} of {} appears twice", author.id));
        }
        let edited_at = post.edited_at.as_ref().map(|_| String::new());
        let timeless = Post { created_at: String::new(), edited_at, explain: None, ..post.clone() };
        match wanted.get(id.as_str()) {
            None => report(format!("post {id} of {} should not be there", author.id)),
            Some(expected) if **expected != timeless => report(format!("expected {expected:?}, got {timeless:?}")),
            Some(_) => {}
        }
    }
    for post in expected.iter().filter(|post| !seen.contains(post.id.as_str())) {
        report(format!("post {} of {} is missing", post.id, post.author.id));
    }
    if let Some(pair) = shown.windows(2).find(|pair| in_order && pair[0].id < pair[1].id) {
        report(format!("post {} comes before the newer {}", pair[0].id, pair[1].id));
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{Remark, Window};

    const AT: Window = Window { from_ms: 1, to_ms: 2 };

    /// ada has posts 1 and 3. bob has post 2, with a tag. ada follows bob, likes post 2 and comments on it.
    pub(in crate::model) fn model() -> Model {
        let member = |name: &str, follows: &[&str], posts: &[(&str, &str)]| {
            let profile = ProfileInput { handle: name.to_owned(), display_name: name.to_owned(), avatar_url: None };
            let member = Member {
                profile: Some(profile),
                follows: follows.iter().map(|&id| id.to_owned()).collect(),
                posts: posts.iter().map(|&(id, text)| (id.to_owned(), Said::new(text))).collect(),
                ..Member::default()
            };
            (name.to_owned(), member)
        };
        let mut members = BTreeMap::from([
            member("ada", &["bob"], &[("1", "one"), ("3", "three")]),
            member("bob", &[], &[("2", "#two")]),
        ]);
        if let Some(ada) = members.get_mut("ada") {
            ada.likes.insert("2".to_owned(), AT);
            let remark = Remark { post: "2".to_owned(), text: "so true".to_owned(), at: AT };
            ada.comment("c".to_owned(), remark);
        }
        Model { members }
    }

    fn shown(viewer: &str, id: &str) -> Post {
        Post { created_at: "now".to_owned(), ..Judge::new(&model()).post(viewer, id).unwrap() }
    }

    fn problems(viewer: &str, posts: &[Post]) -> Vec<String> {
        let model = model();
        Judge::new(&model).compare_home(viewer, posts).into_iter().map(|difference| difference.problem).collect()
    }

    #[test]
    fn a_home_holds_own_posts_and_those_of_followed_users_newest_first() {
        assert_eq!(problems("ada", &[shown("ada", "3"), shown("ada", "2"), shown("ada", "1")]), [""; 0]);
        assert_eq!(problems("bob", &[shown("bob", "2")]), [""; 0]);
        assert!(shown("ada", "2").liked && !shown("bob", "2").liked);
        assert_eq!((shown("bob", "2").likes, shown("bob", "2").comments), (1, 1));
    }

    #[test]
    fn trending_posts_may_fill_a_home() {
        let trending = Post { source: Some("trending".to_owned()), ..shown("bob", "3") };
        assert_eq!(problems("bob", &[shown("bob", "2"), trending.clone()]), [""; 0]);
        let otherwise = Post { source: Some("other".to_owned()), ..trending };
        assert_eq!(problems("bob", &[otherwise, shown("bob", "2")]), ["post 3 of ada should not be there"]);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let (a1, b2, a3) = (shown("ada", "1"), shown("ada", "2"), shown("ada", "3"));
        assert_eq!(problems("ada", &[a3.clone(), a1.clone()]), ["post 2 of bob is missing"]);
        let b2_of_bob = shown("bob", "2");
        assert_eq!(problems("bob", &[b2_of_bob.clone(), a1.clone()]), ["post 1 of ada should not be there"]);
        assert_eq!(problems("bob", &[b2_of_bob.clone(), b2_of_bob.clone()]), ["post 2 of bob appears twice"]);
        assert_eq!(problems("ada", &[a3, a1, b2.clone()]), ["post 1 comes before the newer 2"]);
        for other in [
            Post { text: "other".to_owned(), ..b2_of_bob.clone() },
            Post { likes: 2, ..b2_of_bob.clone() },
            Post { comments: 0, ..b2_of_bob.clone() },
            Post { liked: true, ..b2_of_bob.clone() },
            Post { version: 2, ..b2_of_bob.clone() },
            Post { edited_at: Some("now".to_owned()), ..b2_of_bob.clone() },
            Post { tags: Vec::new(), ..b2_of_bob },
        ] {
            assert_eq!(problems("bob", &[other]).len(), 1);
        }
    }

    #[test]
    fn tags_and_comments_are_compared() {
        let model = model();
        let judge = Judge::new(&model);
        assert_eq!(judge.compare_tag("bob", "two", &[shown("bob", "2")]), []);
        assert_eq!(judge.compare_tag("bob", "two", &[]).len(), 1);
        assert_eq!(judge.compare_tag("bob", "none", &[shown("bob", "2")]).len(), 1);
        let comment = Comment {
            id: "c".to_owned(),
            post: "2".to_owned(),
            author: judge.person("ada").unwrap(),
            text: "so true".to_owned(),
            created_at: String::new(),
        };
        assert_eq!(judge.compare_comments("bob", "2", std::slice::from_ref(&comment)), []);
        assert_eq!(judge.compare_comments("bob", "2", &[]).len(), 1);
        let other = Comment { text: "so false".to_owned(), ..comment };
        assert_eq!(judge.compare_comments("bob", "2", &[other]).len(), 1);
    }
}
