//! The explanation of one client's visit, as it is printed.

use std::fmt;

use serde::Serialize;

use super::{html::ParsedPage, stored::Stored};
#[cfg(feature = "probe")]
use crate::link::Document;
use crate::push::{self, Plan, SkipReason};

/// The explanation, as it is printed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Explanation {
    /// The route; `None` where no route matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<Option<String>>,
    pub(super) promises: Vec<ExplainedPromise>,
    pub(super) hints: Vec<String>,
    pub(super) skipped: Vec<ExplainedSkip>,
    /// Why the page's HTML teaches nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) html: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache: Option<Stored>,
}

#[derive(Debug, Serialize)]
pub(super) struct ExplainedPromise {
    url: String,
    #[serde(rename = "as")]
    destination: Option<&'static str>,
    source: &'static str,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ExplainedSkip {
    target: String,
    reason: &'static str,
}

impl Explanation {
    /// Tells which elements of a page are passed over, or why none is read.
    pub(super) fn add_page(&mut self, page: Option<&ParsedPage>) {
        match page.map(|page| &page.found) {
            Some(Ok(found)) => self.skipped.extend(found.skipped.iter().map(|skipped| ExplainedSkip {
                target: skipped.target.to_string(),
                reason: skipped.reason.label(),
            })),
            Some(Err(reason)) => self.html = Some(reason.label()),
            None => {}
        }
    }

    /// Adds a link that is neither promised nor hinted.
    pub(super) fn skip(&mut self, target: &[u8], reason: SkipReason) {
        self.skipped.push(ExplainedSkip {
            target: String::from_utf8_lossy(target).into_owned(),
            reason: reason.label(),
        });
    }

    /// Leaves out skipped links that another mention of them delivered, and repeated ones.
    #[cfg(feature = "probe")]
    pub(super) fn forget_delivered(&mut self, document: &Document) {
        let url = |target: &str| {
            let target = document.resolve(target.as_bytes());
            target.ok().map(|target| target.url().to_owned())
        };
        let hinted = self.hints.iter().filter_map(|hint| {
            let (target, _) = hint.strip_prefix('<')?.split_once('>')?;
            url(target)
        });
        let promised = self.promises.iter().map(|promise| promise.url.clone());
        let delivered: Vec<String> = hinted.chain(promised).collect();
        let mut kept: Vec<ExplainedSkip> = Vec::new();
        for skip in self.skipped.drain(..) {
            let is_delivered = url(&skip.target).is_some_and(|url| delivered.contains(&url));
            if !is_delivered && !kept.contains(&skip) {
                kept.push(skip);
            }
        }
        self.skipped = kept;
    }

    pub(super) fn add(&mut self, plan: &Plan) {
        self.promises
            .extend(plan.promises.iter().map(|promise| ExplainedPromise {
                url: promise.request.uri().to_string(),
                destination: promise.destination.map(push::Destination::name),
                source: promise.source.name(),
            }));
        let hints = plan.hints.iter();
        self.hints
            .extend(hints.map(|hint| String::from_utf8_lossy(hint.as_bytes()).into_owned()));
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(route) = &self.route {
            writeln!(f, "route    {}", route.as_deref().unwrap_or(NO_ROUTE))?;
        }
        for promise in &self.promises {
            let destination = promise.destination.unwrap_or("-");
            writeln!(
                f,
                "promise  {}  as={destination} source={}",
                promise.url, promise.source
            )?;
        }
        for hint in &self.hints {
            writeln!(f, "hint     {hint}")?;
        }
        for skip in &self.skipped {
            writeln!(f, "skipped  {}  reason={}", skip.target.escape_debug(), skip.reason)?;
        }
        if let Some(reason) = self.html {
            writeln!(f, "html     teaches nothing  reason={reason}")?;
        }
        if self.promises.is_empty() && self.hints.is_empty() {
            writeln!(f, "nothing is promised or hinted; the Link header passes through")?;
        }
        if let Some(cache) = &self.cache {
            cache.fmt(f)?;
        }
        Ok(())
    }
}

/// Stands for the route where none matches.
pub(super) const NO_ROUTE: &str = "none: the answer is 404";
