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
    pub(super) fn person(&self, id: &str) -> Option<Person> {
        let profile = self.model.members.get(id)?.profile.clone()?;
        let ProfileInput { handle, display_name, avatar_url } = profile;
        Some(Person { id: id.to_owned(), handle, display_name, avatar_url })
    }

    /// What a viewer must see of a post, without its times and the parts of its text.
    pub(super) fn post(&self, viewer: &str, id: &str) -> Option<Post> {
        let (author, said) = self.posts.get(id)?;
        let count = |counts: &BTreeMap<&str, u64>| counts.get(id).copied().unwrap_or_default();
        Some(Post {
            id: id.to_owned(),
            author: self.person(author)?,
            text: said.text.clone(),
            tags: tags(&said.text),
            entities: Vec::new(),
            ignored_tags: Vec::new(),
            created_at: String::new(),
            edited_at: said.edited.then(String::new),
            version: said.version,
            likes: count(&self.likes),
            comments: count(&self.comments),
            taken_down: said.taken_down,
            liked: self.model.members.get(viewer).is_some_and(|member| member.likes.contains_key(id)),
            source: None,
            explain: None,
        })
    }

    /// The posts of `authors`, newest first. The ids are UUIDv7, so their order is the order in time.
    fn posts_of<'b>(&self, viewer: &str, authors: impl Iterator<Item = &'b str>) -> Vec<Post> {
        let members = authors.filter_map(|author| self.model.members.get(author));
        let ids: BTreeSet<_> = members.flat_map(|member| member.posts.keys()).collect();
        ids.iter().rev().filter(|id| self.is_shown(viewer, id)).filter_map(|id| self.post(viewer, id)).collect()
    }

    /// Whether an administrator has hidden nothing of this user, or the viewer is this user.
    pub(super) fn shows_user(&self, viewer: &str, user: &str) -> bool {
        viewer == user || !self.model.members.get(user).is_some_and(|member| member.suspended)
    }

    /// Whether an administrator has not hidden the post, or the viewer wrote it.
    pub(super) fn is_shown(&self, viewer: &str, post: &str) -> bool {
        let Some((author, said)) = self.posts.get(post) else { return false };
        (!said.taken_down || *author == viewer) && self.shows_user(viewer, author)
    }

    /// Whether the post can trend. What an administrator has hidden does not, even for its author.
    pub(super) fn may_trend(&self, post: &str) -> bool {
        let shown = self.posts.get(post).map(|(author, said)| !said.taken_down && self.shows_user("", author));
        shown.unwrap_or_default()
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
        let authors = follows.map(String::as_str).chain([viewer]);
        self.posts_of(viewer, authors.filter(|author| !self.hides(viewer, author)))
    }

    /// Whether nothing of this author may come to the viewer by itself (INV-7).
    pub(super) fn hides(&self, viewer: &str, author: &str) -> bool {
        self.mutes(viewer, author) || self.has_block(viewer, author)
    }

    fn mutes(&self, viewer: &str, other: &str) -> bool {
        self.model.members.get(viewer).is_some_and(|member| member.mutes.contains(other))
    }

    fn blocks(&self, viewer: &str, other: &str) -> bool {
        self.model.members.get(viewer).is_some_and(|member| member.blocks.contains(other))
    }

    /// Whether the two must see nothing of each other (INV-7).
    pub fn has_block(&self, viewer: &str, other: &str) -> bool {
        self.blocks(viewer, other) || self.blocks(other, viewer)
    }

    /// Whether the viewer can read this post by its id.
    pub fn can_read(&self, viewer: &str, post: &str) -> bool {
        let by_author = self.posts.get(post).is_some_and(|(author, _)| !self.has_block(viewer, author));
        by_author && self.is_shown(viewer, post)
    }

    /// The posts of an author whom the viewer looks up. A mute does not matter there.
    fn looked_up(&self, viewer: &str, author: &str) -> Vec<Post> {
        self.posts_of(viewer, [author].into_iter().filter(|author| !self.has_block(viewer, author)))
    }

    /// Compares the whole list of an author's posts.
    pub fn compare_posts_of(&self, viewer: &str, author: &str, shown: &[Post]) -> Vec<Difference> {
        let expected = self.looked_up(viewer, author);
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
        let shown = tagged.filter(|(id, _)| self.is_shown(viewer, id));
        shown.filter_map(|(id, _)| self.post(viewer, id)).collect()
    }

    /// The ids of the posts that a feed shows to the viewer.
    pub fn ids(&self, viewer: &str, feed: &Feed) -> BTreeSet<String> {
        let posts = match feed {
            Feed::Home => self.home(viewer),
            Feed::Author(author) => self.looked_up(viewer, author),
            Feed::Tag(tag) => self.tagged(viewer, tag),
            Feed::All => {
                let authors = self.model.members.keys().map(String::as_str);
                self.posts_of(viewer, authors.filter(|author| !self.hides(viewer, author)))
            }
        };
        posts.into_iter().map(|post| post.id).collect()
    }

    /// Whether a comment by this author is hidden from the viewer. A muted author is looked up on their own posts.
    fn hides_comment(&self, viewer: &str, author: &str, post: &str) -> bool {
        let is_own_post = self.posts.get(post).is_some_and(|(of, _)| *of == author);
        self.has_block(viewer, author) || (self.mutes(viewer, author) && !is_own_post)
    }

    /// Compares all comments on a post that the viewer can read, oldest first.
    pub fn compare_comments(&self, viewer: &str, post: &str, shown: &[Comment]) -> Vec<Difference> {
        self.compare_listed_comments(viewer, post, shown, false)
    }

    /// Compares all comments on a post of the viewer's, hidden ones included.
    pub fn compare_all_comments(&self, viewer: &str, post: &str, shown: &[Comment]) -> Vec<Difference> {
        self.compare_listed_comments(viewer, post, shown, true)
    }

    fn compare_listed_comments(&self, viewer: &str, post: &str, shown: &[Comment], all: bool) -> Vec<Difference> {
        let members = self.model.members.iter();
        let mut expected: Vec<_> = members
            .flat_map(|(id, member)| member.comments.iter().map(move |(comment, remark)| (comment, id, remark)))
            .filter(|(_, author, _)| self.shows_user(viewer, author))
            .filter(|(_, author, remark)| remark.post == post && (all || !self.hides_comment(viewer, author, post)))
            .map(|(comment, id, remark)| {
                let hidden = all.then(|| self.hides_comment(viewer, id, post));
                (comment.clone(), self.person(id), remark.text.clone(), hidden)
            })
            .collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let shown: Vec<_> = shown
            .iter()
            .map(|Comment { id, author, text, hidden, .. }| (id.clone(), Some(author.clone()), text.clone(), *hidden))
            .collect();
        let place = format!("comments on {post}");
        let problem = format!("expected {expected:?}, got {shown:?}");
        (expected != shown).then(|| Difference { viewer: viewer.to_owned(), place, problem }).into_iter().collect()
    }

    /// Compares everything that `viewer` can see of `subject`, who is not suspended unless it is the viewer. Reads
    /// every list in pages of `limit`.
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
        let followers: Vec<_> = followers.collect();
        let following: Vec<_> = members.get(subject).into_iter().flat_map(|member| &member.follows).collect();
        let blocked = self.has_block(&viewer.id, subject);
        let listed = |ids: &[&String]| {
            let visible = ids.iter().filter(|id| !blocked && !self.has_block(&viewer.id, id));
            let visible = visible.filter(|id| self.shows_user(&viewer.id, id));
            visible.filter_map(|id| self.person(id)).collect::<Vec<_>>()
        };
        let shown = viewer.walk_followers_of(subject, limit).await?;
        expect("followers", format!("{:?}", listed(&followers)), format!("{shown:?}"));
        let shown = viewer.walk_followed_by(subject, limit).await?;
        expect("following", format!("{:?}", listed(&following)), format!("{shown:?}"));

        let PublicProfile { id, handle, display_name, avatar_url, following: out, followers: into, relation, .. } =
            viewer.user(subject).await?;
        let shown = Person { id, handle, display_name, avatar_url };
        let whole = self.person(subject);
        let left = whole.clone().map(|person| Person { display_name: String::new(), avatar_url: None, ..person });
        let expected = if blocked { left } else { whole };
        expect("profile", format!("{expected:?}"), format!("{:?}", Some(shown)));
        let counts = if blocked { (0, 0) } else { (following.len(), followers.len()) };
        expect("counts", format!("{counts:?}"), format!("{:?}", (out, into)));
        let follows = |a: &str, b: &str| members.get(a).is_some_and(|member: &Member| member.follows.contains(b));
        let expected = Relation {
            following: follows(&viewer.id, subject),
            followed_by: follows(subject, &viewer.id),
            muted: self.mutes(&viewer.id, subject),
            blocked: self.blocks(&viewer.id, subject),
            blocked_by: self.blocks(subject, &viewer.id),
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
pub(super) fn differences(
    viewer: &str,
    place: &str,
    expected: &[Post],
    shown: &[Post],
    in_order: bool,
) -> Vec<Difference> {
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
        let timeless = Post {
            created_at: String::new(),
            edited_at,
            entities: Vec::new(),
            ignored_tags: Vec::new(),
            explain: None,
            ..post.clone()
        };
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
            entities: Vec::new(),
            ignored_tags: Vec::new(),
            created_at: String::new(),
            hidden: None,
        };
        assert_eq!(judge.compare_comments("bob", "2", std::slice::from_ref(&comment)), []);
        assert_eq!(judge.compare_comments("bob", "2", &[]).len(), 1);
        let other = Comment { text: "so false".to_owned(), ..comment };
        assert_eq!(judge.compare_comments("bob", "2", &[other]).len(), 1);
    }
    #[test]
    fn a_block_hides_both_and_a_mute_only_what_comes() {
        let mut model = model();
        let edges = |model: &mut Model, mutes: &[&str], blocks: &[&str]| {
            let bob = model.members.get_mut("bob").unwrap();
            bob.mutes = mutes.iter().map(|&id| id.to_owned()).collect();
            bob.blocks = blocks.iter().map(|&id| id.to_owned()).collect();
        };
        let author = |id: &str| Feed::Author(id.to_owned());
        edges(&mut model, &["ada"], &[]);
        let judge = Judge::new(&model);
        assert_eq!((judge.ids("bob", &Feed::All).len(), judge.ids("bob", &author("ada")).len()), (1, 2));
        assert!(judge.can_read("bob", "1") && judge.hides_comment("bob", "ada", "2"));
        assert!(!judge.hides_comment("bob", "ada", "1"), "ada's own post");
        assert!(!judge.hides("ada", "bob"));
        edges(&mut model, &[], &["ada"]);
        let judge = Judge::new(&model);
        for (viewer, other, post) in [("bob", "ada", "1"), ("ada", "bob", "2")] {
            assert!(judge.hides(viewer, other) && !judge.can_read(viewer, post));
            assert_eq!(judge.ids(viewer, &author(other)).len(), 0);
        }
    }
}
