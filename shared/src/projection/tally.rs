//! Counters: the numbers on cards. An event of a counter carries the image of one shard, absolute and versioned. The
//! card keeps the newest image of each shard and shows their sum. So images may arrive in any order and any number of
//! times (INV-3).

use std::collections::BTreeMap;

use crate::{
    error::Error,
    model::{TallyChange, TallySubject},
    retry::until_no_conflict,
    store::cards::Cards,
};

/// Groups the images of one batch by counter. Each counter then costs one read and at most one write.
pub fn by_counter(changes: Vec<TallyChange>) -> BTreeMap<TallySubject, Vec<TallyChange>> {
    let mut counters = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        counters.entry(change.subject.clone()).or_default().push(change);
    }
    counters
}

/// Adds these images of a subject's counter to the subject's card.
///
/// # Errors
/// [`Error::Conflict`] if other workers kept changing the card; otherwise as the store's.
pub async fn show(cards: &Cards, subject: &TallySubject, changes: &[TallyChange]) -> Result<(), Error> {
    until_no_conflict(async || {
        let before = cards.tally(subject).await?;
        let mut tally = before.tally.clone();
        let news = changes.iter().filter(|change| tally.take(change.shard, change.image)).count();
        if news == 0 {
            return Ok(());
        }
        cards.put_tally(subject, &before, &tally).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{TallyImage, TallyShard, TallySubject},
        samples::user,
    };

    #[test]
    fn all_images_of_a_counter_are_one_write() {
        let change = |subject: &str, shard, version| {
            let image = TallyImage { version, ..TallyImage::default() };
            TallyChange { subject: TallySubject::User(user(subject)), shard: TallyShard::new(shard).unwrap(), image }
        };
        let changes = vec![change("ada", 0, 1), change("bob", 0, 1), change("ada", 7, 1), change("ada", 0, 2)];
        let sizes: Vec<_> = by_counter(changes).into_values().map(|changes| changes.len()).collect();
        assert_eq!(sizes, [3, 1]);
    }
}
