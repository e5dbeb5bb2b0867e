//! Search: the words of texts and names, the lists of the index in which posts and users stand, and the language of
//! queries. All of it is pure. Whoever writes the index and whoever reads it use the same functions, and so do tests
//! that compare a search with a look at every text.

mod entry;
mod frequent;
mod query;
mod words;

pub use entry::{IndexList, NamePlace, is_kept, post_lists, rank, user_lists};
pub(crate) use frequent::is_frequent;
pub use query::{InvalidQuery, NameQuery, PostQuery, Term};
pub use words::{Word, name_words, words};
