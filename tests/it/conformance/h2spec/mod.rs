//! The checks of h2spec 2.6, by their numbers: 146, and one that it makes only when it is strict.
//!
//! - `script`: what a check sends and expects, and how it is run.
//! - `generic`, `http2`, `hpack`: the tables, as h2spec divides them.
//!
//! They are stricter in one thing: a GOAWAY or RST_STREAM with another error code than the RFC's fails at once, where
//! h2spec waits on and is content with the end of the connection. Like h2spec, they take an end without GOAWAY.

mod generic;
mod hpack;
mod http2;
mod script;

use std::rc::Rc;

use super::{Case, Exception, Target, passes};

/// Checks that fail rightly, in cleartext and over TLS: none. A bad preface on a cleartext port is answered as HTTP/1.1, with
/// 400 and the end of the connection, which http2/3.5/2 takes.
const EXCEPTIONS: &[Exception] = &[];

#[tokio::test]
async fn all_checks_of_h2spec_pass_in_cleartext() {
    passes("h2spec in cleartext", cases(&Target::cleartext().await), EXCEPTIONS).await;
}

#[tokio::test]
async fn all_checks_of_h2spec_pass_over_tls() {
    passes("h2spec over TLS", cases(&Target::tls().await), EXCEPTIONS).await;
}

fn cases(target: &Rc<Target>) -> Vec<Case> {
    let checks = [generic::CHECKS, http2::CHECKS, hpack::CHECKS].concat();
    assert_eq!(checks.len(), 147);
    let case = |check: script::Check| -> Case { (check.name(), Box::pin(check.run(Rc::clone(target)))) };
    checks.into_iter().map(case).collect()
}
