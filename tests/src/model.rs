//! The reference: what the system must show at rest, in the most naive way that can be right. It holds what the
//! accepted commands said and computes every feed from scratch. It shares no code and no idea with the system, has no
//! clock (tests are over long before anything expires), and must never be made clever.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::client::{ApiError, Person, Post, ProfileInput, PublicProfile, Relation, User};

/// One user, by the commands that were accepted from them.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// The newest profile.
    pub profile: Option<ProfileInput>,
    /// Whom the user follows now.
    pub follows: BTreeSet<String>,
    /// Text of each post that is not deleted, by id.
    pub posts: BTreeMap<String, String>,
}

/// Everything that was accepted, by user id.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The members. A user that is not here does not exist.
    pub members: BTreeMap<String, Member>,
}

/// Something that the system shows and the model does not, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who looked.
    pub viewer: String,
    /// At what.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} looking at {}: {}", self.viewer, self.place, self.problem)
    }
}

impl Model {
    /// What an author is known as, inside posts and lists.
    fn person(&self, id: &str) -> Option<Person> {
        let profile = self.members.get(id)?.profile.clone()?;
        let ProfileInput { handle, display_name, avatar_url } = profile;
        Some(Person { id: id.to_owned(), handle, display_name, avatar_url })
    }

    /// The posts of `authors` as (id, author, text), newest first. Ids are UUIDv7, so their order is that of time.
    fn posts<'a>(&self, authors: impl Iterator<Item = &'a str>) -> Vec<(String, Person, String)> {
        let mut posts: Vec<_> = authors
            .filter_map(|author| Some((self.person(author)?, self.members.get(author)?)))
            .flat_map(|(person, member)| {
                member.posts.iter().map(move |(id, text)| (id.clone(), person.clone(), text.clone()))
            })
            .collect();
        posts.sort_by(|a, b| b.0.cmp(&a.0));
        posts
    }

    /// Rows of all timelines together: each post in its author's own list, home, and each follower's home.
    pub fn timeline_rows(&self) -> u64 {
        let of = |id: &str| self.members.get(id).map_or(0, |member| member.posts.len() as u64);
        let rows = |(id, member): (&String, &Member)| 2 * of(id) + member.follows.iter().map(|id| of(id)).sum::<u64>();
        self.members.iter().map(rows).sum()
    }

    /// INV-2: compares a whole home feed.
    pub fn compare_home(&self, viewer: &str, shown: &[Post]) -> Vec<Difference> {
        let follows = self.members.get(viewer).into_iter().flat_map(|member| &member.follows);
        let authors = follows.map(String::as_str).chain([viewer]);
        differences(viewer, "home", &self.posts(authors), shown)
    }

    /// Compares the whole list of an author's posts.
    pub fn compare_posts_of(&self, viewer: &str, author: &str, shown: &[Post]) -> Vec<Difference> {
        differences(viewer, &format!("posts of {author}"), &self.posts([author].into_iter()), shown)
    }

    /// Compares everything that `viewer` can see of `subject`, walking every list with pages of `limit`.
    pub async fn compare_user(&self, viewer: &User, subject: &str, limit: u32) -> Result<Vec<Difference>, ApiError> {
        let mut found = self.compare_posts_of(&viewer.id, subject, &viewer.walk_posts_of(subject, limit).await?);
        let mut expect = |place: &str, expected: String, shown: String| {
            if expected != shown {
                let problem = format!("expected {expected}, got {shown}");
                found.push(Difference { viewer: viewer.id.clone(), place: format!("{place} of {subject}"), problem });
            }
        };
        let followers = self.members.iter().filter(|(_, member)| member.follows.contains(subject)).map(|(id, _)| id);
        let followers: Vec<_> = followers.filter_map(|id| self.person(id)).collect();
        let following = self.members.get(subject).into_iter().flat_map(|member| &member.follows);
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
        let follows = |a: &str, b: &str| self.members.get(a).is_some_and(|member| member.follows.contains(b));
        let expected = Relation { following: follows(&viewer.id, subject), followed_by: follows(subject, &viewer.id) };
        expect("relation", format!("{expected:?}"), format!("{relation:?}"));
        Ok(found)
    }
}

/// Everything that keeps `shown` from being exactly `expected`.
fn differences(viewer: &str, place: &str, expected: &[(String, Person, String)], shown: &[Post]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut report = |problem: String| {
        found.push(Difference { viewer: viewer.to_owned(), place: place.to_owned(), problem });
    };
    let wanted: BTreeMap<&str, (&Person, &str)> =
        expected.iter().map(|(id, author, text)| (id.as_str(), (author, text.as_str()))).collect();
    let mut seen = BTreeSet::new();
    for post in shown {
        if !seen.insert(post.id.as_str()) {
            report(format!("post {} of {} is there twice", post.id, post.author.id));
        }
        match wanted.get(post.id.as_str()) {
            None => report(format!("post {} of {} should not be there", post.id, post.author.id)),
            Some((author, text)) if **author != post.author || *text != post.text => {
                report(format!(
                    "post {}: expected {author:?} {text:?}, got {:?} {:?}",
                    post.id, post.author, post.text
                ));
            }
            Some(_) => {}
        }
    }
    for (id, author, _) in expected.iter().filter(|(id, ..)| !seen.contains(id.as_str())) {
        report(format!("post {id} of {} is missing", author.id));
    }
    if let Some(pair) = shown.windows(2).find(|pair| pair[0].id < pair[1].id) {
        report(format!("post {} stands before the newer {}", pair[0].id, pair[1].id));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ada (posts a1, a3), bob (b2), ada follows bob.
    fn model() -> Model {
        let member = |name: &str, follows: &[&str], posts: &[&str]| {
            let profile = ProfileInput { handle: name.to_owned(), display_name: name.to_owned(), avatar_url: None };
            let member = Member {
                profile: Some(profile),
                follows: follows.iter().map(|&id| id.to_owned()).collect(),
                posts: posts.iter().map(|&id| (id.to_owned(), format!("text {id}"))).collect(),
            };
            (name.to_owned(), member)
        };
        Model { members: [member("ada", &["bob"], &["1", "3"]), member("bob", &[], &["2"])].into() }
    }

    fn shown(id: &str, author: &str) -> Post {
        let author = Person {
            id: author.to_owned(),
            handle: author.to_owned(),
            display_name: author.to_owned(),
            avatar_url: None,
        };
        let (text, created_at) = (format!("text {id}"), String::new());
        Post { id: id.to_owned(), author, text, tags: Vec::new(), created_at, version: 1 }
    }

    fn problems(viewer: &str, posts: &[Post]) -> Vec<String> {
        model().compare_home(viewer, posts).into_iter().map(|difference| difference.problem).collect()
    }

    #[test]
    fn a_home_holds_own_posts_and_those_of_followed_users_newest_first() {
        assert_eq!(problems("ada", &[shown("3", "ada"), shown("2", "bob"), shown("1", "ada")]), [""; 0]);
        assert_eq!(problems("bob", &[shown("2", "bob")]), [""; 0]);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let (a1, b2, a3) = (shown("1", "ada"), shown("2", "bob"), shown("3", "ada"));
        assert_eq!(problems("ada", &[a3.clone(), a1.clone()]), ["post 2 of bob is missing"]);
        assert_eq!(problems("bob", &[b2.clone(), a1.clone()]), ["post 1 of ada should not be there"]);
        assert_eq!(problems("bob", &[b2.clone(), b2.clone()]), ["post 2 of bob is there twice"]);
        assert_eq!(problems("ada", &[a3, a1, b2.clone()]), ["post 1 stands before the newer 2"]);
        let other_text = Post { text: "other".to_owned(), ..b2 };
        assert_eq!(problems("bob", &[other_text]).len(), 1);
    }

    #[test]
    fn rows_are_counted_once_for_the_author_and_once_for_each_home() {
        assert_eq!(model().timeline_rows(), 3 + 3 + 1);
    }
}
