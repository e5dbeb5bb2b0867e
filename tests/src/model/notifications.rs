//! What the notifications of a user must be, who likes a post, and which posts a user likes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Difference, Judge};
use crate::client::{Notification, Person, Post};

/// The system keeps so many groups of notifications for a user, and counts so many of a group.
const MOST: usize = 100;
/// A notification shows so many people at most.
const PEOPLE_MAX: usize = 8;

/// Mentions that stand, as the command table has them: the mentioned user, the post, and who mentioned the user, once
/// for each post or comment. The model does not know who had a handle when a text was written.
pub type Mentions = BTreeMap<(String, String), Vec<String>>;

/// A group of notifications: the kind and the post.
type Key = (String, Option<String>);

impl Judge<'_> {
    /// Compares all notifications of the viewer. Follows of several days are compared together.
    pub fn compare_notifications(&self, viewer: &str, mentions: &Mentions, shown: &[Notification]) -> Vec<Difference> {
        let mut problems = Vec::new();
        let expected = self.notifications(viewer, mentions);
        let mut found = BTreeMap::<Key, (usize, BTreeSet<&str>)>::new();
        for it in shown {
            let key = (it.kind.clone(), it.post.as_ref().map(|post| post.id.clone()));
            let people: BTreeSet<_> = it.people.iter().map(|person| person.id.as_str()).collect();
            if people.len() != it.people.len() || people.len() > PEOPLE_MAX || people.is_empty() {
                problems.push(format!("{key:?} shows {people:?}"));
            }
            if found.contains_key(&key) && it.kind != "follow" {
                problems.push(format!("{key:?} is shown twice"));
            }
            let group = found.entry(key).or_default();
            group.0 += it.count;
            group.1.extend(people);
        }
        let is_sorted = shown.windows(2).all(|pair| pair[0].at >= pair[1].at);
        if !is_sorted {
            problems.push("the newest group does not come first".to_owned());
        }
        for (key, (count, people)) in &found {
            let Some(actors) = expected.get(key) else {
                problems.push(format!("{key:?} must not be there"));
                continue;
            };
            let different: BTreeSet<_> = actors.iter().map(String::as_str).collect();
            // Of a large group, the newest notices may be those that ended, or that the viewer hides.
            let is_counted = *count == actors.len() || (actors.len() > MOST / 2 && *count <= actors.len().min(MOST));
            let right = is_counted
                && people.is_subset(&different)
                && (people.len() >= different.len().min(PEOPLE_MAX) || actors.len() > MOST / 2);
            if !right {
                problems.push(format!("{key:?} is {count} by {people:?}, not by {actors:?}"));
            }
        }
        if expected.len() <= MOST {
            let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
            if !missing.is_empty() {
                problems.push(format!("{missing:?} are missing"));
            }
        }
        let place = || "notifications".to_owned();
        let difference = |problem| Difference { viewer: viewer.to_owned(), place: place(), problem };
        problems.into_iter().map(difference).collect()
    }

    /// Who did what of which the viewer must be notified, by kind and post.
    fn notifications(&self, viewer: &str, mentions: &Mentions) -> BTreeMap<Key, Vec<String>> {
        let mut all = BTreeMap::<Key, Vec<String>>::new();
        let own = |post: &str| self.posts.get(post).is_some_and(|(author, _)| *author == viewer);
        let is_seen = |id: &str| !self.hides(viewer, id) && self.shows_user(viewer, id);
        let others = self.model.members.iter().filter(|(id, _)| *id != viewer && is_seen(id));
        for (id, member) in others {
            let mut add = |kind: &str, post: Option<&String>| {
                all.entry((kind.to_owned(), post.cloned())).or_default().push(id.clone());
            };
            if member.follows.contains(viewer) {
                add("follow", None);
            }
            member.likes.keys().filter(|post| own(post)).for_each(|post| add("like", Some(post)));
            let comments = member.comments.values().filter(|remark| own(&remark.post));
            comments.for_each(|remark| add("comment", Some(&remark.post)));
        }
        for ((user, post), actors) in
            mentions.iter().filter(|((user, post), _)| user == viewer && self.can_read(user, post))
        {
            let seen = actors.iter().filter(|actor| *actor != user && is_seen(actor));
            let seen: Vec<_> = seen.cloned().collect();
            if !seen.is_empty() {
                all.insert(("mention".to_owned(), Some(post.clone())), seen);
            }
        }
        all
    }

    /// Compares everybody who likes a post that the viewer can read, in any order.
    pub fn compare_likers(&self, viewer: &str, post: &str, shown: &[Person]) -> Vec<Difference> {
        let likes = self.model.members.iter().filter(|(_, member)| member.likes.contains_key(post));
        let is_seen = |id: &&str| !self.has_block(viewer, id) && self.shows_user(viewer, id);
        let expected: BTreeSet<_> = likes.map(|(id, _)| id.as_str()).filter(is_seen).collect();
        let found: BTreeSet<_> = shown.iter().map(|person| person.id.as_str()).collect();
        let same = expected == found && found.len() == shown.len();
        let problem = format!("expected {expected:?}, got {shown:?}");
        let place = format!("likes of {post}");
        (!same).then(|| Difference { viewer: viewer.to_owned(), place, problem }).into_iter().collect()
    }

    /// Compares all posts that the viewer likes: newest post first.
    pub fn compare_liked(&self, viewer: &str, shown: &[Post]) -> Vec<Difference> {
        let likes = self.model.members.get(viewer).into_iter().flat_map(|member| member.likes.keys().rev());
        let expected: Vec<_> = likes.map(String::as_str).filter(|post| self.can_read(viewer, post)).collect();
        let found: Vec<_> = shown.iter().map(|post| post.id.as_str()).collect();
        let problem = format!("expected {expected:?}, got {found:?}");
        let place = "liked posts".to_owned();
        (expected != found).then(|| Difference { viewer: viewer.to_owned(), place, problem }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::judge::tests::model, *};

    fn notification(kind: &str, post: Option<Post>, people: &[&str]) -> Notification {
        let person = |id: &&str| Person {
            id: (*id).to_owned(),
            handle: (*id).to_owned(),
            display_name: String::new(),
            avatar_url: None,
        };
        let people: Vec<_> = people.iter().map(person).collect();
        Notification { kind: kind.to_owned(), post, count: people.len(), people, at: String::new(), unread: true }
    }

    #[test]
    fn missing_and_wrong_notifications_are_differences() {
        let model = model();
        let judge = Judge::new(&model);
        for viewer in model.members.keys() {
            let expected = judge.notifications(viewer, &Mentions::new());
            let follows: Vec<_> = expected.get(&("follow".to_owned(), None)).cloned().unwrap_or_default();
            let followers: Vec<_> = follows.iter().map(String::as_str).collect();
            let mut shown = Vec::new();
            if !followers.is_empty() {
                shown.push(notification("follow", None, &followers));
            }
            let only_follows = expected.len() == shown.len();
            assert_eq!(judge.compare_notifications(viewer, &Mentions::new(), &shown).is_empty(), only_follows);
            let wrong = [notification("follow", None, &["nobody"])];
            assert!(!judge.compare_notifications(viewer, &Mentions::new(), &wrong).is_empty());
        }
    }
}
