//! What a process of `get-feed` keeps between requests. Each cache is bounded in size and time. A query that
//! asks for the viewer's own writes reads cards from the table. Rows of celebrities and the trending list, which the
//! viewer did not write, may come from here for every query.

mod announced;
mod pulled_rows;
mod recent_cards;
mod trending_list;

pub(crate) use announced::{Announced, RecentAnnouncements};
pub(crate) use pulled_rows::PulledRows;
pub(crate) use recent_cards::RecentCards;
pub(crate) use trending_list::TrendingList;
