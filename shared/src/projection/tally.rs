//! What follows from counters: the numbers on cards. The images that arrive are absolute and versioned; the card keeps
//! the newest of each shard and shows their sum, so images may arrive in any order and any number of times (INV-3).

use std::collections::BTreeMap;

use crate::{
    error::Error,
    model::{TallyChange, UserId},
    store::cards::Cards,
};

/// Times that a card is read again after another worker changed it.
const RACES_MAX: u32 = 20;

/// Images of one batch, by whose counter they are of: each counter costs one read and at most one write.
pub fn by_counter(changes: Vec<TallyChange>) -> BTreeMap<UserId, Vec<TallyChange>> {
    let mut counters = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        counters.entry(change.counted.clone()).or_default().push(change);
    }
    counters
}

/// Makes the user's card show what these images of the user's counter add to what it knows.
///
/// # Errors
/// As the store's.
pub async fn show(cards: &Cards, user: &UserId, changes: &[TallyChange]) -> Result<(), Error> {
    for _ in 0..RACES_MAX {
        let before = cards.tally(user).await?;
        let mut tally = before.tally.clone();
        let news = changes.iter().filter(|change| tally.take(change.shard, change.image)).count();
        if news == 0 {
            return Ok(());
        }
        match cards.put_tally(user, &before, &tally).await {
            Err(Error::Conflict) => {}
            written => return written,
        }
    }
    Err(Error::Conflict)
}
