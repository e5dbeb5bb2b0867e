//! The feeds, one a file. Each file reads from top to bottom: viewer state → sources → filter → hydrate → page.

mod author;
mod home;
mod ranked;
mod served;
mod tag;
mod trending;

pub use home::{HomePage, HomePosition, HomeWalk};
pub use ranked::{RankedPosition, Ranking};
pub use trending::TrendingPosition;
