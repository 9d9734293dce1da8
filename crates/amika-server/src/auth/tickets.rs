//! Tickets: what a page opens a web socket with, or a port's own origin, since it can give no header there. Each is good
//! once, for what it was made for, and for half a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::caller::Caller;
use super::token::{Hash, Token};

/// Beginning of tickets.
pub const PREFIX: &str = "amw_";

/// How long one is good, in milliseconds.
pub const LIFE: i64 = 30_000;

/// Tickets at once.
const MOST: usize = 10_000;

/// What a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A socket at this path, below the prefix.
    Socket(String),
    /// The origin of a sandbox's port.
    Port {
        /// The sandbox's id.
        sandbox_id: String,
        /// The port.
        port: u16,
    },
}

struct Ticket {
    caller: Caller,
    purpose: Purpose,
    until: i64,
}

/// Those that were not used yet.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], Ticket>>);

impl Tickets {
    /// A new one; none where there are as many as may be.
    pub fn make(&self, caller: &Caller, purpose: Purpose, now: i64) -> Option<Token> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, ticket| now < ticket.until);
        }
        if all.len() >= MOST {
            return None;
        }
        let token = Token::new(PREFIX);
        let ticket = Ticket {
            caller: caller.clone(),
            purpose,
            until: now + LIFE,
        };
        all.insert(token.hash().0, ticket);
        Some(token)
    }

    /// Whose ticket it was, where it held for that. It is gone then.
    pub fn take(&self, text: &str, purpose: &Purpose, now: i64) -> Option<Caller> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has not the text cannot tell its digest.
        let ticket = all.remove(&Hash::of(text).0)?;
        let holds = now < ticket.until && ticket.purpose == *purpose;
        holds.then_some(ticket.caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scope::{Role, Scope};
    use crate::store::User;

    fn caller() -> Caller {
        Caller {
            user: User {
                id: "u".to_owned(),
                name: "u".to_owned(),
                email: None,
                role: Role::Member,
                is_disabled: false,
                quota: crate::config::Quota::default(),
                created_at: 0,
                updated_at: 0,
            },
            scope: Scope::Write,
            key_id: None,
        }
    }

    #[test]
    fn a_ticket_is_good_once_for_its_purpose_and_for_half_a_minute() {
        let tickets = Tickets::default();
        let purpose = |path: &str| Purpose::Socket(path.to_owned());
        let make = || tickets.make(&caller(), purpose("/a"), 0).expect("room");
        let ticket = make();
        let take = |text: &str, path: &str, now| tickets.take(text, &purpose(path), now).is_some();
        assert!(take(ticket.reveal(), "/a", LIFE - 1));
        assert!(!take(ticket.reveal(), "/a", 1), "once");
        assert!(!take(make().reveal(), "/b", 1));
        assert!(!take(make().reveal(), "/a", LIFE));
        let port = Purpose::Port {
            sandbox_id: "/a".to_owned(),
            port: 1,
        };
        assert!(tickets.take(make().reveal(), &port, 1).is_none());
    }
}
