//! Finds what spoils hints and pushes of a page that was visited. Pure.

use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use url::Url;

use crate::{
    cli::visit::{Visited, VisitedExchange, VisitedResponse},
    html::{End, Found, HtmlReader, Limits, ResponseFields},
    link::{Document, Relation, ResourceHint, Target, parse},
    meter::{Label as _, labels},
    push::{Credentials, Csp, NotPushable, Policy, check_pushable, is_reusable},
};

labels! {
    /// A fault of a page or an asset that spoils hints or pushes. The label is its word in text, JSON and documentation.
    pub enum Symptom {
        /// A link leads to an error or a redirect.
        DeadLink = "dead_link",
        /// The asset may not be stored, or is stale at once.
        NotReusable = "not_reusable",
        /// The response to a promise may not be delivered.
        NotPushable = "not_pushable",
        /// The page's policy allows the asset by nonce alone, or not at all.
        CspNonce = "csp_nonce",
        /// The page's element has `integrity`, the link has none.
        IntegrityMissing = "integrity_missing",
        /// A font without `crossorigin`.
        FontWithoutCrossorigin = "font_without_crossorigin",
        /// The page's element and the link have another `crossorigin`.
        CrossoriginDiffers = "crossorigin_differs",
        /// `nopush`.
        Nopush = "nopush",
        /// The page does not use the asset.
        Unused = "unused",
        /// More links than are delivered.
        TooMany = "too_many",
        /// The 103 lacks what the page names.
        EarlySaysLess = "early_says_less",
    }
}

impl Symptom {
    /// Returns the fault and the remedy, a sentence each.
    const fn advice(self) -> (&'static str, &'static str) {
        match self {
            Self::DeadLink => (
                "the link leads to an error or a redirect, so its push is cancelled",
                "link to the final URL of an asset that exists",
            ),
            Self::NotReusable => (
                "a browser cannot reuse the asset (no-store, no-cache or no freshness), so a hint makes it fetch twice",
                "give the asset a max-age",
            ),
            Self::NotPushable => (
                "the asset may not be pushed (private, Set-Cookie, or Vary by cookie), so its push is cancelled",
                "serve the asset as public and without cookies, or set credentials: include",
            ),
            Self::CspNonce => (
                "the page's Content-Security-Policy allows the asset by its nonce alone or not at all: hints of it are left out, as \
         Firefox would wait five seconds for it",
                "allow the asset by a source such as 'self', or by 'strict-dynamic'",
            ),
            Self::IntegrityMissing => (
                "the page's element has integrity, and the link has none, so browsers fetch the asset twice",
                "give the link the same integrity",
            ),
            Self::FontWithoutCrossorigin => (
                "browsers fetch fonts in CORS mode, so a link without crossorigin makes them fetch the font twice",
                "add crossorigin to the link",
            ),
            Self::CrossoriginDiffers => (
                "the page's element has another crossorigin than the link, so browsers fetch the asset twice",
                "give both the same crossorigin",
            ),
            Self::Nopush => (
                "nopush keeps the asset from being pushed",
                "take nopush away, or set nopush: ignore in the route",
            ),
            Self::Unused => (
                "the HTML of the page does not name the asset, so it may be loaded for nothing",
                "link only to assets of the page",
            ),
            Self::TooMany => (
                "more links than are delivered by default (16 promises, 20 hints): the first ones win, and the document waits for \
         them on a slow path",
                "name what blocks rendering, and leave the rest to the page",
            ),
            Self::EarlySaysLess => (
                "the 103 does not name the asset that the response links to, so browsers learn of it late",
                "send the same Link in the 103 as in the response",
            ),
        }
    }
}

impl Serialize for Symptom {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// A symptom, and the assets that have it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Diagnosis {
    /// The symptom.
    pub(super) symptom: Symptom,
    /// The fault, in a sentence.
    pub(super) meaning: &'static str,
    /// The remedy, in a sentence.
    pub(super) remedy: &'static str,
    /// The links' targets.
    pub(super) targets: Vec<String>,
}

/// Examines a visited page. Returns each symptom once, in the order of [`Symptom`].
pub(super) fn examine(page: &Url, visited: &Visited) -> Vec<Diagnosis> {
    let (Some(response), Some(document)) = (visited.page(), document(page)) else {
        return Vec::new();
    };
    let html = html(&document, response);
    let patient = Patient {
        csp: Csp::parse(lines(&response.headers, &header::CONTENT_SECURITY_POLICY)),
        early: visited
            .hints
            .iter()
            .flat_map(|hint| targets(&document, &hint.headers))
            .collect(),
        visited,
        document: &document,
        html: html.as_ref(),
    };
    let mut found: Vec<(Symptom, String)> = Vec::new();
    let mut links = 0;
    let fields = lines(&response.headers, &header::LINK);
    for link in fields.iter().flat_map(|line| parse(line)).flatten() {
        let Some(hint) = ResourceHint::of(&link).filter(|hint| hint.relation != Relation::Preconnect) else {
            continue;
        };
        let Ok(target) = document.resolve(hint.target) else {
            continue;
        };
        links += 1;
        let name = String::from_utf8_lossy(hint.target).into_owned();
        found.extend(
            patient
                .symptoms(&hint, &target)
                .into_iter()
                .map(|symptom| (symptom, name.clone())),
        );
    }
    let most = Policy::default().max_promises;
    if links > most {
        found.push((Symptom::TooMany, format!("{links} links")));
    }
    found.sort_by_key(|(symptom, _)| *symptom);
    let mut diagnoses: Vec<Diagnosis> = Vec::new();
    for (symptom, target) in found {
        match diagnoses.last_mut().filter(|last| last.symptom == symptom) {
            Some(last) if last.targets.contains(&target) => {}
            Some(last) => last.targets.push(target),
            None => {
                let (meaning, remedy) = symptom.advice();
                diagnoses.push(Diagnosis {
                    symptom,
                    meaning,
                    remedy,
                    targets: vec![target],
                });
            }
        }
    }
    diagnoses
}

/// All that is known of a page.
struct Patient<'v> {
    csp: Option<Csp>,
    /// The targets of its 103s.
    early: Vec<Target>,
    visited: &'v Visited,
    document: &'v Document,
    /// The links of the page's head; `None` where it is not readable HTML.
    html: Option<&'v Found>,
}

impl Patient<'_> {
    /// Returns the symptoms of one link.
    fn symptoms(&self, hint: &ResourceHint<'_>, target: &Target) -> Vec<Symptom> {
        let is_font = hint.destination.as_deref() == Some(b"font");
        let mut found = Vec::new();
        if let Some(asset) = self.asset(target) {
            found.extend(of_asset(asset));
        }
        let csp = self.csp.as_ref();
        if csp.is_some_and(|csp| !csp.allows(self.document, target, hint)) {
            found.push(Symptom::CspNonce);
        }
        if is_font && hint.cross_origin.is_none() {
            found.push(Symptom::FontWithoutCrossorigin);
        }
        if hint.nopush {
            found.push(Symptom::Nopush);
        }
        if !self.early.is_empty() && !self.early.iter().any(|early| early.url() == target.url()) {
            found.push(Symptom::EarlySaysLess);
        }
        let Some(html) = self.html else { return found };
        let element = html.links.iter().find(|element| element.target.url() == target.url());
        if let Some(element) = element {
            if element.integrity.is_some() && hint.integrity.is_none() {
                found.push(Symptom::IntegrityMissing);
            }
            if element.crossorigin != hint.cross_origin && !is_font {
                found.push(Symptom::CrossoriginDiffers);
            }
        }
        // Styles name fonts and images, and scripts fetch: only these two must stand in the page.
        let must_be_named = hint.relation == Relation::ModulePreload
            || matches!(hint.destination.as_deref(), Some(b"style" | b"script"));
        let is_named = self.visited.used.iter().any(|used| used.as_str() == target.url());
        if must_be_named && element.is_none() && !is_named {
            found.push(Symptom::Unused);
        }
        found
    }

    /// Returns the response of a target, if it was fetched or pushed.
    fn asset(&self, target: &Target) -> Option<&VisitedResponse> {
        let is_it = |url: &Url| url.as_str() == target.url();
        let assets = self.visited.exchanges.iter().skip(1);
        let mut assets = assets.filter(|exchange| exchange.url.as_ref().is_some_and(is_it));
        assets.find_map(VisitedExchange::response)
    }
}

/// Returns the symptoms of an asset's own response.
fn of_asset(asset: &VisitedResponse) -> Option<Symptom> {
    let now = std::time::SystemTime::now();
    match check_pushable(asset.status, &asset.headers, Credentials::Omit) {
        Err(NotPushable::Status(_)) => Some(Symptom::DeadLink),
        _ if is_reusable(asset.status, &asset.headers, &HeaderMap::new(), now) == Some(false) => {
            Some(Symptom::NotReusable)
        }
        Err(_) => Some(Symptom::NotPushable),
        Ok(()) => None,
    }
}

fn document(page: &Url) -> Option<Document> {
    let authority = &page[url::Position::BeforeHost..url::Position::AfterPort];
    let path = &page[url::Position::BeforePath..url::Position::AfterQuery];
    Document::new(page.scheme(), authority, path).ok()
}

/// Reads the head of a page; `None` where it is no HTML, or has no end within what is read.
fn html(document: &Document, page: &VisitedResponse) -> Option<Found> {
    let mut reader = HtmlReader::new(Limits::default(), document, ResponseFields::of(&page.headers));
    reader.feed(&page.body);
    reader.finish(End::Whole).ok()
}

/// Returns the targets of the links of a head that make a browser fetch.
fn targets(document: &Document, headers: &HeaderMap) -> Vec<Target> {
    let fields = lines(headers, &header::LINK);
    let links = fields.iter().flat_map(|line| parse(line)).flatten();
    let hints = links.filter_map(|link| {
        let hint = ResourceHint::of(&link).filter(|hint| hint.relation != Relation::Preconnect)?;
        document.resolve(hint.target).ok()
    });
    hints.collect()
}

fn lines<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Vec<&'h [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

#[cfg(test)]
mod tests;
