//! Each function's own handler, put together as its `main` does it.

use std::{rc::Rc, time::Duration};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use tidings::{
    deadline::Deadline,
    error::Error,
    http::{self, Call, Callers, Response},
    query::cursor::CursorKeys,
    runtime::Runtime,
};

/// A function that is ready for invocations: an event in JSON, with the time that the invocation has, to an answer in
/// JSON, or to the function's error.
pub(crate) type Handler = Rc<dyn Fn(Bytes, Duration) -> LocalBoxFuture<'static, Result<Bytes, String>>>;

/// The handler of the binary with this name.
///
/// # Errors
/// If the environment lacks something, or there is no such function.
pub(crate) fn handler(binary: &str, runtime: Runtime) -> anyhow::Result<Handler> {
    /// A function behind the HTTP API: what it is made of, and its handler.
    macro_rules! http {
        ($parts:expr, |$made:ident, $call:ident| $handled:expr) => {{
            let parts = Rc::new($parts);
            Ok(api(runtime, None, move |$call| {
                let $made = Rc::clone(&parts);
                async move { $handled.await }
            }))
        }};
    }
    /// A function that an event source invokes.
    macro_rules! events {
        ($parts:expr, |$made:ident, $event:ident, $deadline:pat_param| $handled:expr) => {{
            let parts = Rc::new($parts);
            Ok(Rc::new(move |payload: Bytes, timeout: Duration| {
                let $made = Rc::clone(&parts);
                let $deadline = Deadline::after(timeout);
                let invocation = async move {
                    let $event = parse(&payload)?;
                    to_json(&$handled.map_err(|error| format!("{error:#}"))?)
                };
                Box::pin(invocation) as LocalBoxFuture<'static, _>
            }))
        }};
    }
    let clock = runtime.clock.clone();
    match binary {
        "block-user" => http!((runtime.commands()?, clock), |it, call| block_user::handle(&it.0, &it.1, call)),
        "comment-on-post" => {
            http!((runtime.commands()?, clock), |it, call| comment_on_post::handle(&it.0, &it.1, call))
        }
        "create-post" => http!((runtime.commands()?, clock), |it, call| create_post::handle(&it.0, &it.1, call)),
        "delete-account" => http!((runtime.commands()?, clock), |it, call| delete_account::handle(&it.0, &it.1, call)),
        "delete-post" => http!((runtime.commands()?, clock), |it, call| delete_post::handle(&it.0, &it.1, call)),
        "edit-post" => http!((runtime.conversations()?, clock), |it, call| edit_post::handle(&it.0, &it.1, call)),
        "export-account" => http!((runtime.commands()?, runtime.cursor_keys()?, clock), |it, call| {
            export_account::handle(&it.0, &it.1, &it.2, call)
        }),
        "follow-user" => http!((runtime.commands()?, clock), |it, call| follow_user::handle(&it.0, &it.1, call)),
        "get-feed" => {
            let (keys, parts) = (runtime.cursor_keys()?, Rc::new((runtime.feeds()?, runtime.cursor_keys()?)));
            Ok(api(runtime, Some(keys), move |call| {
                let parts = Rc::clone(&parts);
                async move { get_feed::handle(&parts.0, &parts.1, call).await }
            }))
        }
        "get-post" => http!((runtime.conversations()?, runtime.cursor_keys()?, clock), |it, call| {
            get_post::handle(&it.0, &it.1, &it.2, call)
        }),
        "get-profile" => {
            http!((runtime.people()?, runtime.notifications()?, runtime.cursor_keys()?, clock), |it, call| {
                get_profile::handle(&it.0, &it.1, &it.2, &it.3, call)
            })
        }
        "read-statistics" => {
            let parts = Rc::new((runtime.statistics()?, runtime.meter.clone()));
            Ok(Rc::new(move |payload: Bytes, _| {
                let it = Rc::clone(&parts);
                let invocation = async move {
                    let answer = read_statistics::handle(&it.0, it.1.as_ref(), parse(&payload)?).await;
                    to_json(&answer.map_err(|error| format!("{error:#}"))?)
                };
                Box::pin(invocation) as LocalBoxFuture<'static, _>
            }))
        }
        "search" => {
            http!((runtime.search()?, runtime.cursor_keys()?), |it, call| { search::handle(&it.0, &it.1, call) })
        }
        "mute-user" => http!((runtime.commands()?, clock), |it, call| mute_user::handle(&it.0, &it.1, call)),
        "react-to-post" => http!((runtime.commands()?, clock), |it, call| react_to_post::handle(&it.0, &it.1, call)),
        "update-profile" => http!((runtime.commands()?, runtime.reserved_handles()?, clock), |it, call| {
            update_profile::handle(&it.0, &it.1, &it.2, call)
        }),
        "publish-events" => events!((runtime.bus()?, runtime.quarantine()?, clock), |it, event, deadline| {
            publish_events::handle(&it.0, &it.1, &it.2, event, deadline).await
        }),
        "recover" => events!(recover::Recoverer::new(&runtime)?, |it, event, deadline| {
            recover::handle(&it, event, deadline).await
        }),
        "audit" => events!(runtime.sweeper()?, |it, event, deadline| audit::handle(&it, event, deadline).await),
        "fanout" => {
            events!(runtime.projectors()?, |it, event, deadline| { fanout::handle(&it, event, deadline).await })
        }
        "trending" => events!((runtime.card_sets()?, runtime.notice_sets()?, clock), |it, event, deadline| {
            trending::handle(&it.0, &it.1, &it.2, event, deadline).await
        }),
        "issue-ticket" => {
            http!(runtime.ticket_office()?, |it, call| std::future::ready(issue_ticket::handle(&it, &call)))
        }
        "moderate" => {
            events!((runtime.commands()?, clock), |it, event, _| { moderate::handle(&it.0, &it.1, event).await })
        }
        "deliver" => {
            events!(deliverer(&runtime)?, |it, event, deadline| { deliver::handle(&it, event, deadline).await })
        }
        "rebuild" => events!(operator(&runtime)?, |it, event, _| rebuild::handle(&it, event).await),
        "demote-author" => events!(demoter(&runtime)?, |it, event, _| { demote_author::handle(&it, event).await }),
        other => anyhow::bail!("the simulated world has no function {other}"),
    }
}

fn operator(runtime: &Runtime) -> anyhow::Result<rebuild::Operator> {
    Ok(rebuild::Operator {
        commands: runtime.commands()?,
        read_models: runtime.read_models()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock.clone(),
    })
}

fn deliverer(runtime: &Runtime) -> anyhow::Result<deliver::Deliverer> {
    Ok(deliver::Deliverer {
        projectors: runtime.projectors()?,
        rebuilder: runtime.rebuilder()?,
        quarantine: runtime.quarantine()?,
        publisher: runtime.publisher()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock.clone(),
    })
}

fn demoter(runtime: &Runtime) -> anyhow::Result<demote_author::Demoter> {
    Ok(demote_author::Demoter {
        commands: runtime.commands()?,
        read_models: runtime.read_models()?,
        cards: runtime.cards()?,
        celebrities: runtime.celebrities()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock.clone(),
    })
}

/// A function behind the HTTP API. With `keys`, it also answers whoever has a ticket, as at a function URL.
fn api<H, F>(runtime: Runtime, keys: Option<CursorKeys>, handle: H) -> Handler
where
    H: Fn(Call) -> F + 'static,
    F: Future<Output = Result<Response, Error>> + 'static,
{
    let handle = Rc::new(handle);
    let runtime = Rc::new((runtime, keys));
    Rc::new(move |payload, _| {
        let (runtime, handle) = (Rc::clone(&runtime), Rc::clone(&handle));
        Box::pin(async move {
            let request: ApiGatewayV2httpRequest = parse(&payload)?;
            let (Runtime { meter, clock, .. }, keys) = &*runtime;
            let callers = keys.as_ref().map_or(Callers::Api, |keys| Callers::ApiOrTicket { keys, clock });
            to_json(&http::answer(meter.as_ref(), callers, request, |call| handle(call)).await)
        })
    })
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|error| error.to_string())
}

fn to_json(answer: &impl Serialize) -> Result<Bytes, String> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(|error| error.to_string())
}
