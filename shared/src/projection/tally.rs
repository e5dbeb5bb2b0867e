//! What follows from counters: the numbers on cards. The images that arrive are absolute and versioned; the card keeps
//! the newest of each shard and shows their sum, so images may arrive in any order and any number of times (INV-3).

use std::collections::BTreeMap;

use crate::{
    error::Error,
    model::{TallyChange, TallySubject},
    store::cards::Cards,
};

/// Times that a card is read again after another worker changed it.
const RACES_MAX: u32 = 20;

/// Images of one batch, by whose counter they are of: each counter costs one read and at most one write.
pub fn by_counter(changes: Vec<TallyChange>) -> BTreeMap<TallySubject, Vec<TallyChange>> {
    let mut counters = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        counters.entry(change.subject.clone()).or_default().push(change);
    }
    counters
}

/// Makes the subject's card show what these images of its counter add to what it knows.
///
/// # Errors
/// As the store's.
pub async fn show(cards: &Cards, subject: &TallySubject, changes: &[TallyChange]) -> Result<(), Error> {
    for _ in 0..RACES_MAX {
        let before = cards.tally(subject).await?;
        let mut tally = before.tally.clone();
        let news = changes.iter().filter(|change| tally.take(change.shard, change.image)).count();
        if news == 0 {
            return Ok(());
        }
        match cards.put_tally(subject, &before, &tally).await {
            Err(Error::Conflict) => {}
            written => return written,
        }
    }
    Err(Error::Conflict)
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
