//! The feeds, one a file. Each file reads from top to bottom: viewer state → sources → filter → hydrate → page.

mod author;
mod home;
mod liked;
mod likers;
mod newer;
mod ranked;
mod served;
mod tag;
mod trending;
mod visits;

pub use home::{HomePage, HomePosition, HomeWalk};
pub use likers::LikerAt;
pub use newer::NewPosts;
pub use ranked::{RankedPosition, Ranking};
pub(super) use served::Served;
pub use trending::TrendingPosition;
