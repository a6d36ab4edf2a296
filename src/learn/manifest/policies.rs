//! Decides which Content-Security-Policies hold for a document, from those of its responses: those of the fields, and
//! those of `meta` elements where the HTML was read.
//!
//! No single visitor changes the policies for the others: new ones count at once from a response for nobody in
//! particular, and else once two networks got them one after the other.

use std::sync::Arc;

use crate::{learn::visitor::Evidence, push::Csp};

/// The policies of one document.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownPolicies {
    of_fields: Held,
    of_page: Held,
    /// All of them together.
    all: Option<Arc<Csp>>,
}

/// The policies of one kind.
#[derive(Debug, Clone, Default)]
struct Held {
    csp: Option<Arc<Csp>>,
    /// Whether a response has told its policies.
    is_known: bool,
    /// Other policies, which one network got so far.
    other: Option<(Option<Arc<Csp>>, u64)>,
}

impl KnownPolicies {
    /// Makes the policies of a file: of the fields, and of the page.
    pub(super) fn restored(of_fields: Option<&str>, of_page: Option<&str>) -> Self {
        let mut known = Self {
            of_fields: Held::restored(of_fields),
            of_page: Held::restored(of_page),
            all: None,
        };
        known.join();
        known
    }

    /// All policies.
    pub(super) const fn all(&self) -> Option<&Arc<Csp>> {
        self.all.as_ref()
    }

    /// The policies of the fields and of the page, as text for a file.
    pub(super) fn texts(&self) -> [Option<&str>; 2] {
        [&self.of_fields, &self.of_page].map(|held| held.csp.as_deref().map(Csp::text))
    }

    /// Returns whether these are the policies of the fields, but for their nonces.
    pub(super) fn has_fields(&self, policies: &[&[u8]]) -> bool {
        self.of_fields.is(policies)
    }

    /// Returns whether other policies would hold if another network got them.
    pub(super) const fn are_doubted(&self) -> bool {
        self.of_fields.other.is_some() || self.of_page.other.is_some()
    }

    /// Notes the policies of a response's fields.
    pub(super) fn note_fields(&mut self, evidence: &Evidence, network: u64, policies: &[&[u8]]) {
        if self.of_fields.note(evidence, network, policies) {
            self.join();
        }
    }

    /// Notes the policies of a page's `meta` elements.
    pub(super) fn note_page(&mut self, evidence: &Evidence, network: u64, policies: &[&[u8]]) {
        if self.of_page.note(evidence, network, policies) {
            self.join();
        }
    }

    /// Memory in bytes.
    pub(super) fn size(&self) -> usize {
        let csp = |csp: Option<&Arc<Csp>>| csp.map_or(0, |csp| csp.size());
        let held = |held: &Held| csp(held.csp.as_ref()) + csp(held.other.as_ref().and_then(|(csp, _)| csp.as_ref()));
        let is_joined = self.of_fields.csp.is_some() && self.of_page.csp.is_some();
        let all = if is_joined { csp(self.all.as_ref()) } else { 0 };
        held(&self.of_fields) + held(&self.of_page) + all
    }

    fn join(&mut self) {
        self.all = match (&self.of_fields.csp, &self.of_page.csp) {
            (None, only) | (only, None) => only.clone(),
            (Some(one), Some(other)) => Csp::parse([one.text().as_bytes(), other.text().as_bytes()]).map(Arc::new),
        };
    }
}

impl Held {
    fn restored(text: Option<&str>) -> Self {
        Self {
            csp: text.and_then(|text| Csp::parse([text.as_bytes()])).map(Arc::new),
            is_known: text.is_some(),
            other: None,
        }
    }

    fn is(&self, policies: &[&[u8]]) -> bool {
        self.is_known && is_same(self.csp.as_ref(), policies)
    }

    /// Notes the policies of a response; returns whether others hold from now on.
    fn note(&mut self, evidence: &Evidence, network: u64, policies: &[&[u8]]) -> bool {
        if self.is(policies) {
            self.other = None;
            return false;
        }
        let is_confirmed = match &self.other {
            Some((csp, of)) => *of != network && is_same(csp.as_ref(), policies),
            None => false,
        };
        let parsed = Csp::parse(policies.iter().copied()).map(Arc::new);
        let holds = !self.is_known || *evidence == Evidence::Anonymous || is_confirmed;
        if holds {
            *self = Self {
                csp: parsed,
                is_known: true,
                other: None,
            };
        } else {
            self.other = Some((parsed, network));
        }
        holds
    }
}

fn is_same(csp: Option<&Arc<Csp>>, policies: &[&[u8]]) -> bool {
    match csp {
        Some(csp) => csp.is_of(policies.iter().copied()),
        None => policies.iter().all(|policy| policy.trim_ascii().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELF: &[u8] = b"script-src 'self'";
    const NONCE: &[u8] = b"script-src 'nonce-a'";
    const OTHER: &[u8] = b"style-src 'self'";

    fn texts(known: &KnownPolicies) -> Option<&str> {
        known.all().map(|csp| csp.text())
    }

    #[test]
    fn policies_of_fields_and_page_hold_together_and_change_apart() {
        let mut known = KnownPolicies::default();
        known.note_fields(&Evidence::Anonymous, 1, &[SELF]);
        assert_eq!(texts(&known), Some("script-src 'self'"));
        known.note_page(&Evidence::Anonymous, 1, &[NONCE]);
        assert_eq!(texts(&known), Some("script-src 'self',script-src 'nonce-x'"));
        // A response whose HTML nobody reads says nothing of the page's policies.
        known.note_fields(&Evidence::Anonymous, 1, &[OTHER]);
        assert_eq!(texts(&known), Some("style-src 'self',script-src 'nonce-x'"));
        known.note_page(&Evidence::Anonymous, 1, &[]);
        assert_eq!(texts(&known), Some("style-src 'self'"));
        known.note_fields(&Evidence::Anonymous, 1, &[]);
        assert_eq!(texts(&known), None);
    }

    #[test]
    fn a_restored_policy_is_the_one_that_was_known() {
        let mut known = KnownPolicies::default();
        known.note_fields(&Evidence::Anonymous, 1, &[NONCE, OTHER]);
        known.note_page(&Evidence::Anonymous, 1, &[SELF]);
        let [fields, page] = known.texts();
        let mut restored = KnownPolicies::restored(fields, page);
        assert_eq!(texts(&restored), texts(&known));
        assert!(restored.has_fields(&[b"script-src 'nonce-b'", OTHER]));
        assert!(!restored.has_fields(&[NONCE]));
        // One visitor does not change it.
        let evidence = Evidence::Authorized;
        restored.note_fields(&evidence, 1, &[]);
        assert_eq!(texts(&restored), texts(&known));
    }
}
