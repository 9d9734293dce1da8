//! Ports of sandboxes over HTTP: below a path for programs with a key, and at a host name of their own for browsers.
//!
//! What answers there is hostile to the server's page. So a port has an origin of its own (`name`), which takes no
//! credential of the page but a cookie of its own that says who may ask that port (`cookie`). What goes in and comes out is
//! rid of what is the server's (`headers`), and goes through amikad's tunnel (`forward`). Where no name leads there it has a
//! listening port of its own (`own`). A request may start its sandbox (`wake`).

pub mod cookie;
pub mod door;
pub mod forward;
pub mod headers;
pub mod name;
pub mod origin;
pub mod own;
pub mod wake;
