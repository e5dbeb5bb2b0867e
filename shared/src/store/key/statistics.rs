//! Keys of daily statistics.

use super::{encode, event, parse_event, parse_user};
use crate::model::{Cause, Day, DayFact, PostId, UserId};

/// Partitions of a user's facts. Those of one author are made by many users, and a partition takes 1000 writes a
/// second.
pub(in crate::store) const FACT_PARTS: u8 = 4;
/// Partitions of the numbers of a day. Each has some users, and the sum of their numbers.
pub(in crate::store) const DAY_PARTS: u8 = 32;
/// Partitions of the tags of a day. Each has some posts, and how many of them have each tag.
pub(in crate::store) const TAG_PARTS: u8 = 16;
/// Prefix of the partitions of users' facts.
const FACTS_PREFIX: &str = "FACTS#";
/// Prefix of the partitions of days.
const DAYS_PREFIX: &str = "DAYS#";
/// Prefix of the partitions of days' tags.
const DAY_TAGS_PREFIX: &str = "DAYTAGS#";
/// Sort key of the sum of the numbers in a partition of a day.
pub(in crate::store) const SUM: &str = "SUM";

/// The partition of a user's facts that has those with this cause.
pub(in crate::store) fn facts(user: &UserId, part: u8) -> String {
    format!("{FACTS_PREFIX}{}#{part}", encode(user.as_str()))
}

/// The partition and the sort key of a fact.
pub(in crate::store) fn fact(fact: &DayFact) -> (String, String) {
    let DayFact { user, day, kind, cause } = fact;
    let part = cause.actor().unwrap_or(user).hash().part(FACT_PARTS);
    let cause = match cause {
        Cause::Event(by, version) => format!("{}#{}", encode(by.as_str()), event(*version)),
        Cause::Like(by, post) => format!("{}#{post}", encode(by.as_str())),
        Cause::Anything => String::new(),
    };
    (facts(user, part), format!("{}#{}#{cause}", day.date(), kind.name()))
}

/// The fact with this key. None if the key is not that of a fact which this release knows.
pub(in crate::store) fn parse_fact(pk: &str, sk: &str) -> Option<DayFact> {
    let user = parse_user(pk.rsplit_once('#')?.0, FACTS_PREFIX)?;
    let mut parts = sk.splitn(4, '#');
    let (day, kind) = (Day::from_date(parts.next()?)?, parts.next()?.parse().ok()?);
    let cause = match (parts.next()?, parts.next()) {
        ("", None) => Cause::Anything,
        (by, Some(of)) => {
            let by = parse_user(by, "")?;
            match parse_event(of) {
                Some(version) => Cause::Event(by, version),
                None => Cause::Like(by, of.parse().ok()?),
            }
        }
        _ => return None,
    };
    Some(DayFact { user, day, kind, cause })
}

/// The partition of this day.
pub(in crate::store) fn day(day: Day, part: u8) -> String {
    format!("{DAYS_PREFIX}{}#{part}", day.date())
}

/// The partition of the day that has this user's numbers.
pub(in crate::store) fn day_of_user(day: Day, user: &UserId) -> String {
    self::day(day, user.hash().part(DAY_PARTS))
}

/// The day and the number of the partition of a day, or of a day's tags.
fn parse_day_part(pk: &str, prefix: &str) -> Option<(Day, u8)> {
    let (day, part) = pk.strip_prefix(prefix)?.split_once('#')?;
    Some((Day::from_date(day)?, part.parse().ok()?))
}

/// The day and the number of a partition made by [`day`].
pub(in crate::store) fn parse_day(pk: &str) -> Option<(Day, u8)> {
    parse_day_part(pk, DAYS_PREFIX)
}

/// The partition of the tags of this day.
pub(in crate::store) fn day_tags(day: Day, part: u8) -> String {
    format!("{DAY_TAGS_PREFIX}{}#{part}", day.date())
}

/// The partition that has the tags of this post.
pub(in crate::store) fn day_tags_of(post: PostId) -> String {
    let [.., last] = post.to_bytes();
    day_tags(Day::of(post.created_at()), last % TAG_PARTS)
}

/// The day and the number of a partition made by [`day_tags`].
pub(in crate::store) fn parse_day_tags(pk: &str) -> Option<(Day, u8)> {
    parse_day_part(pk, DAY_TAGS_PREFIX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{FactKind, Timestamp, Version};

    fn any_user() -> impl Strategy<Value = UserId> {
        "\\PC{1,40}".prop_filter_map("a user id", |id| UserId::try_from(id).ok())
    }

    proptest! {
        #[test]
        fn parsing_a_rendered_fact_is_the_identity(
            user in any_user(), by in any_user(), number in 0u32..2_000_000, kind in 0usize..8, version in 1u64..1000,
        ) {
            let day = Day::of(Timestamp::from_ms(u64::from(number) * 86_400_000));
            let version = Version::new(version).unwrap();
            let post = PostId::new(Timestamp::from_ms(7));
            for cause in [Cause::Event(by.clone(), version), Cause::Like(by.clone(), post), Cause::Anything] {
                let made = DayFact { user: user.clone(), day, kind: FactKind::ALL[kind], cause };
                let (pk, sk) = fact(&made);
                prop_assert_eq!(parse_fact(&pk, &sk), Some(made));
            }
            prop_assert_eq!(parse_day(&day_of_user(day, &user)).map(|(day, _)| day), Some(day));
        }
    }
}
