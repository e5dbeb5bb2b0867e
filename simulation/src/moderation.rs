//! What an operator decides at random: take-downs, restores, suspensions and their ends. The operator makes one
//! decision after the other, so the last one about each post and user is known.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use serde_json::{Value, json};

use crate::{ledger::Ledger, trace::Detail, world::World};

/// Times that one decision is asked for, while functions fail. An outage may last 25 minutes.
const TRIES_MAX: usize = 2000;

/// Makes so many decisions.
///
/// # Errors
/// If the function keeps failing.
pub(crate) async fn moderate(
    world: Arc<World>,
    ledger: Rc<RefCell<Ledger>>,
    seed: u64,
    decisions: usize,
) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..decisions {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..5000))).await;
        let post = ledger.borrow().authors.keys().choose(&mut random).cloned();
        let user = ledger.borrow().model.members.keys().choose(&mut random).cloned();
        let withdraws = random.random_bool(0.6);
        match (post, user) {
            (Some(post), _) if random.random_bool(0.6) => {
                let action = if withdraws { "take_down" } else { "restore" };
                ledger.borrow_mut().moderated.insert(post.clone());
                if let Some(answer) = decide(&world, &mut random, &json!({ action: { "post": post } })).await? {
                    let mut ledger = ledger.borrow_mut();
                    let mut members = ledger.model.members.values_mut();
                    if let Some(said) = members.find_map(|member| member.posts.get_mut(&post)) {
                        said.taken_down = withdraws;
                    }
                    note(&mut ledger, &answer);
                }
            }
            (_, Some(user)) => {
                let action = if withdraws { "suspend" } else { "reinstate" };
                ledger.borrow_mut().moderated.insert(user.clone());
                if let Some(answer) = decide(&world, &mut random, &json!({ action: { "user": user } })).await? {
                    let mut ledger = ledger.borrow_mut();
                    if let Some(member) = ledger.model.members.get_mut(&user) {
                        member.suspended = withdraws;
                    }
                    note(&mut ledger, &answer);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The log of the user has this version.
fn note(ledger: &mut Ledger, answer: &Value) {
    let (user, version) = (answer["user"].as_str().unwrap_or_default(), answer["version"].as_u64().unwrap_or_default());
    ledger.accepted(user, version);
}

/// Asks for a decision until it is made. None if there is nothing to decide about any more.
async fn decide(world: &World, random: &mut StdRng, request: &Value) -> anyhow::Result<Option<Value>> {
    for _ in 0..TRIES_MAX {
        match world.invoke("Moderate", request).await {
            Ok(answer) => {
                world.network.trace.note(Detail::Users, format_args!("operator: {request}: {answer}"));
                return Ok(Some(answer));
            }
            Err(error) => {
                let error = format!("{error:#}");
                world.network.trace.note(Detail::Users, format_args!("operator: {request}: {error}"));
                if ["there is no post", "does not exist", "account is deleted"].iter().any(|gone| error.contains(gone))
                {
                    return Ok(None);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(100..3000))).await;
    }
    anyhow::bail!("the operator's request {request} keeps failing")
}
