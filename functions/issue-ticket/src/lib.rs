//! `POST /v1/me/feed-tickets`: a ticket with which the caller reads feeds at the function URL of GetFeed. It reads and
//! writes nothing.

use tidings::{
    error::Error,
    http::{Call, Response, view::TicketView},
    tickets::TicketOffice,
};

/// Answers a request.
///
/// # Errors
/// Those of [`TicketOffice::issue`].
pub fn handle(office: &TicketOffice, call: &Call) -> Result<Response, Error> {
    let issued = office.issue(&call.caller)?;
    Ok(Response::json(201, &TicketView::from(&issued)))
}
