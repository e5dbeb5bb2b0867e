//! Searches for users: those with more followers first. As in lists of people, users who are muted are found, and those
//! between whom and the viewer there is a block are not.

use serde::{Deserialize, Serialize};

use super::Search;
use crate::{
    error::Error,
    model::search::{IndexList, NamePlace, NameQuery},
    query::{
        pipeline::{Page, PageDraft, ReadRequest, ViewerState},
        users::card_if_exists,
    },
    store::{cards::UserCard, search::NamePage},
};

/// Rows that one read looks at, at most. Their cards are read, too, so a page reads 420 cards at most.
const ROWS_MAX: usize = 60;

/// Where a walk goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeoplePosition {
    /// The place in the list behind which it goes on. None at the beginning of the list.
    after: Option<NamePlace>,
    /// Whether the viewer came first, and comes at no other place.
    viewer_came_first: bool,
}

impl Search {
    /// At most `limit` users whom the query finds, behind this position.
    ///
    /// Whoever asks for a version of their own log is found by the profile of that version: they come first if the
    /// query finds them, and at no other place.
    ///
    /// # Errors
    /// [`crate::error::Rejection::SearchOff`]; otherwise as [`ViewerState::read`] and the stores'.
    pub async fn users(
        &self,
        request: ReadRequest<'_>,
        query: &NameQuery,
        position: Option<PeoplePosition>,
        limit: usize,
    ) -> Result<Page<UserCard, PeoplePosition>, Error> {
        self.kept()?;
        let Some(word) = query.longest() else { return Ok(Page::empty()) };
        let (viewer, list) = (request.viewer, IndexList::of_name(word));
        let is_first = position.is_none();
        let is_strong = request.consistency().is_strong();
        let viewer_came_first = is_strong && position.as_ref().is_none_or(|position| position.viewer_came_first);
        let mut after = position.and_then(|position| position.after);
        let own = async {
            match is_first && viewer_came_first {
                true => self.own_card(request, query).await,
                false => Ok(None),
            }
        };
        let behind = |after: Option<NamePlace>| PeoplePosition { after, viewer_came_first };
        // The first rows are read beside the viewer's state: which rows there are does not depend on it.
        let names = async |after: Option<&NamePlace>, count: usize| {
            self.index.names(&list, after, count.min(ROWS_MAX), request.consistency()).await
        };
        let (state, own, first) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            own,
            names(after.as_ref(), PageDraft::<()>::new(limit).wanted()),
        )?;
        let mut first = Some(first);
        let room = limit - usize::from(own.is_some());
        if room == 0 {
            return Ok(Page { entries: own.into_iter().collect(), next: Some(behind(None)) });
        }
        let read = async |count: usize| {
            let NamePage { rows, more } = match first.take() {
                Some(page) => page,
                None => names(after.as_ref(), count).await?,
            };
            after = rows.last().map(|(place, _)| place.clone()).or(after.take());
            let begins_so = |words: &[crate::model::search::Word]| {
                words.is_empty() || words.iter().any(|known| known.as_str().starts_with(word.as_str()))
            };
            let is_own = |place: &NamePlace| viewer_came_first && place.user == *viewer;
            let places = rows.into_iter().filter(|(place, words)| begins_so(words) && !is_own(place));
            let places: Vec<_> = places.map(|(place, _)| place).collect();
            let users: Vec<_> = places.iter().map(|place| place.user.clone()).collect();
            let (mut cards, blockers) = tokio::try_join!(
                self.cards.users(&users, request.consistency()),
                state.blockers_among(&self.commands, &users)
            )?;
            cards.retain(|user, card| {
                let is_cut_off = state.viewer.blocks(user) || blockers.contains(user);
                !is_cut_off && card.is_shown_to(viewer) && query.matches(&card.profile)
            });
            let entries = places.into_iter().filter_map(|place| Some((cards.remove(&place.user)?, place))).collect();
            Ok(Page { entries, next: after.clone().filter(|_| more) })
        };
        let page = PageDraft::new(room).fill(|(_, place): &(UserCard, NamePlace)| place.clone(), read).await?;
        let found = page.entries.into_iter().map(|(card, _)| card);
        let entries = own.into_iter().chain(found).collect();
        Ok(Page { entries, next: page.next.map(|place| behind(Some(place))) })
    }

    /// The viewer's card with the profile of the truth, if the query finds it.
    async fn own_card(&self, request: ReadRequest<'_>, query: &NameQuery) -> Result<Option<UserCard>, Error> {
        let Some(new) = card_if_exists(&self.commands, request.viewer).await? else { return Ok(None) };
        Ok(Some(new).filter(|card| query.matches(&card.profile)))
    }
}
