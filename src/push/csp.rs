//! Decides whether a page's Content-Security-Policy allows a hint (rule 18).
//!
//! A browser that follows a 103 has no policy yet, and no element that would carry a nonce. Where the policy allows an
//! asset by its nonce alone, Firefox drops the fetched response and waits five seconds before it fetches the asset
//! again. So such a link is not hinted. The crate `content-security-policy` matches sources as CSP Level 3, section
//! 6.7.2, says.

use content_security_policy::{
    CheckResult, CspList, Destination as CspDestination, Initiator, ParserMetadata, PolicyDisposition, PolicySource,
    Request,
};
use url::Url;

use super::Destination;
use crate::link::{Document, Relation, ResourceHint, Target};

/// The policies of one page, all of which must allow a fetch.
#[derive(Debug, Clone)]
pub struct Csp {
    list: CspList,
    /// The field values that were parsed, each nonce replaced by [`MASK`].
    text: Box<str>,
}

/// Largest length of all policies of a page together, in bytes. Longer policies allow nothing.
const MAX_POLICY: usize = 16 * 1024;

impl Csp {
    /// Parses the values of `Content-Security-Policy`; `None` if they are empty. A directive with a byte that is not
    /// ASCII is ignored (CSP Level 3, section 2.2.1).
    #[must_use]
    pub fn parse<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Self> {
        let text = masked(values)?;
        let mut list = CspList::parse(&text, PolicySource::Header, PolicyDisposition::Enforce);
        if text.len() > MAX_POLICY {
            list = CspList::parse("default-src 'none'", PolicySource::Header, PolicyDisposition::Enforce);
        }
        Some(Self {
            list,
            text: text.into(),
        })
    }

    /// Returns whether these values are the same policies, nonces aside.
    #[must_use]
    pub fn is_of<'v>(&self, values: impl IntoIterator<Item = &'v [u8]>) -> bool {
        masked(values).is_some_and(|text| *text == *self.text)
    }

    /// The policies as one field value, each nonce replaced.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Estimated memory in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.text.len() * SIZE_OF_A_BYTE
    }

    /// Returns whether a page with these policies may fetch a link's target without a nonce.
    ///
    /// `strict-dynamic` counts as allowing: Chromium and Firefox use such a hint, and neither waits.
    #[must_use]
    pub fn allows(&self, document: &Document, target: &Target, link: &ResourceHint<'_>) -> bool {
        if link.relation == Relation::Preconnect {
            // No directive restricts mere connections.
            return true;
        }
        let (Ok(url), Ok(own)) = (Url::parse(target.url()), Url::parse(document.own().url())) else {
            return false;
        };
        let destination = link.destination.as_deref().and_then(Destination::parse);
        let request = Request {
            current_url: url.clone(),
            url,
            origin: own.origin(),
            redirect_count: 0,
            destination: match destination {
                Some(Destination::Style) => CspDestination::Style,
                Some(Destination::Font) => CspDestination::Font,
                Some(Destination::Image) => CspDestination::Image,
                Some(Destination::Script) => CspDestination::Script,
                None if link.relation == Relation::ModulePreload => CspDestination::Script,
                _ => CspDestination::None,
            },
            initiator: Initiator::None,
            nonce: String::new(),
            integrity_metadata: link
                .integrity
                .as_deref()
                .map_or_else(String::new, |integrity| String::from_utf8_lossy(integrity).into_owned()),
            parser_metadata: ParserMetadata::None,
        };
        self.list.should_request_be_blocked(&request).0 == CheckResult::Allowed
    }
}

/// Heap bytes that a parsed policy takes for each byte of its text: each source is a `String` of its own.
const SIZE_OF_A_BYTE: usize = 4;

/// Joins field values and replaces each nonce by [`MASK`], since nonces differ from response to response.
fn masked<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<String> {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push(',');
        }
        let is_end = |byte: char| byte.is_ascii_whitespace() || matches!(byte, ';' | ',');
        for word in String::from_utf8_lossy(value).split_inclusive(is_end) {
            let source = word.trim_end_matches(is_end);
            let is_nonce = source
                .get(..NONCE.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(NONCE));
            text.push_str(if is_nonce { MASK } else { source });
            text.push_str(word.get(source.len()..).unwrap_or_default());
        }
    }
    (!text.trim().is_empty()).then_some(text)
}

/// The beginning of a source that is a nonce. A nonce ends with its word, with or without a closing quote.
const NONCE: &str = "'nonce-";

/// Stands for every nonce. The requests that are checked have no nonce, so this one matches none.
const MASK: &str = "'nonce-x'";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::parse;

    fn allows(policies: &[&str], field: &str) -> bool {
        let csp = Csp::parse(policies.iter().map(|policy| policy.as_bytes())).expect("a policy");
        let document = Document::new("https", "shop.example", "/p/").expect("a document");
        let link = parse(field.as_bytes()).next().expect("a link").expect("a good one");
        let link = ResourceHint::of(&link).expect("a relation");
        let target = document.resolve(link.target).expect("a target");
        csp.allows(&document, &target, &link)
    }

    #[test]
    fn a_policy_allows_what_needs_no_nonce() {
        const SCRIPT: &str = "</a.js>; rel=preload; as=script";
        const MODULE: &str = "</a.js>; rel=modulepreload";
        const STYLE: &str = "</a.css>; rel=preload; as=style";
        const CDN: &str = "<https://cdn.example/a.js>; rel=preload; as=script";
        const HASH: &str =
            "</a.js>; rel=preload; as=script; integrity=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"";
        for (policies, field, expected) in [
            (&["script-src 'nonce-abc'"][..], SCRIPT, false),
            (&["script-src 'nonce-abc'"], MODULE, false),
            (&["script-src 'nonce-abc'"], STYLE, true),
            (&["script-src 'nonce-abc' 'self'"], SCRIPT, true),
            (&["script-src 'nonce-abc' 'self'"], CDN, false),
            (&["script-src 'nonce-abc' https:"], CDN, true),
            (&["script-src 'nonce-abc' cdn.example"], CDN, true),
            (&["script-src 'nonce-abc' https://*.example"], CDN, true),
            (&["script-src 'nonce-abc' https://cdn.example/b/"], CDN, false),
            (&["script-src 'nonce-abc' 'strict-dynamic'"], SCRIPT, true),
            (&["default-src 'nonce-abc'"], STYLE, false),
            (&["default-src 'nonce-abc'"], SCRIPT, false),
            (&["default-src 'self'"], SCRIPT, true),
            (&["default-src 'none'; style-src 'self'"], STYLE, true),
            (&["default-src 'none'; style-src 'self'"], SCRIPT, false),
            (&["script-src 'unsafe-inline'"], SCRIPT, false),
            (&["script-src * 'unsafe-inline'"], CDN, true),
            (&["script-src 'self'", "script-src 'nonce-abc'"], SCRIPT, false),
            (&["script-src 'self', script-src 'nonce-abc'"], SCRIPT, false),
            (&["script-src 'self'", "style-src 'nonce-abc'"], SCRIPT, true),
            (&["script-src-elem 'self'; script-src 'nonce-abc'"], SCRIPT, true),
            (&["SCRIPT-SRC 'NONCE-abc'"], SCRIPT, false),
            (
                &["script-src 'nonce-abc' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
                HASH,
                true,
            ),
            (
                &["script-src 'nonce-abc' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
                SCRIPT,
                false,
            ),
            (&["script-src 'none'"], SCRIPT, false),
            (&["frame-ancestors 'none'"], SCRIPT, true),
            (
                &["font-src 'none'"],
                "</a.woff2>; rel=preload; as=font; crossorigin",
                false,
            ),
            (&["img-src https:"], "</a.png>; rel=preload; as=image", true),
            (&["connect-src 'none'"], "</a.json>; rel=preload; as=fetch", false),
            (&["default-src 'none'"], "<https://cdn.example>; rel=preconnect", true),
        ] {
            assert_eq!(allows(policies, field), expected, "{policies:?} {field}");
        }
    }

    #[test]
    fn policies_are_the_same_if_only_nonces_differ() {
        let csp = Csp::parse([&b"script-src 'nonce-one' 'self'"[..], b"img-src *"]).expect("a policy");
        assert!(csp.is_of([&b"script-src 'nonce-two' 'self'"[..], b"img-src *"]));
        assert!(!csp.is_of([&b"script-src 'nonce-one'"[..], b"img-src *"]));
        assert!(!csp.is_of([&b"script-src 'nonce-one' 'self'"[..]]));
        assert!(Csp::parse([&b" "[..]]).is_none());
        assert!(Csp::parse([&b"script-src 'nonce-open"[..]]).is_some());
    }

    #[test]
    fn a_nonce_ends_with_its_word() {
        for (policy, expected) in [
            ("script-src 'nonce-a' 'self'", "script-src 'nonce-x' 'self'"),
            ("script-src 'nonce-a'", "script-src 'nonce-x'"),
            (
                "script-src 'nonce-open; script-src-elem 'self'",
                "script-src 'nonce-x'; script-src-elem 'self'",
            ),
            ("script-src 'nonce-open 'self'", "script-src 'nonce-x' 'self'"),
            ("script-src 'nonce-open\t'self'", "script-src 'nonce-x'\t'self'"),
            (
                "script-src 'nonce-a,img-src 'self'",
                "script-src 'nonce-x',img-src 'self'",
            ),
            (
                "script-src 'nonce-a'b'self'; img-src *",
                "script-src 'nonce-x'; img-src *",
            ),
            ("script-src 'NONCE-a';;  img-src *", "script-src 'nonce-x';;  img-src *"),
            (
                "img-src https://a.example/'nonce-a",
                "img-src https://a.example/'nonce-a",
            ),
            ("script-src 'nonce-\u{e4}'", "script-src 'nonce-x'"),
        ] {
            let masked = masked([policy.as_bytes()]);
            assert_eq!(masked.as_deref(), Some(expected), "{policy}");
            assert_eq!(
                super::masked([expected.as_bytes()]).as_deref(),
                Some(expected),
                "{policy}"
            );
        }
        assert!(allows(
            &["script-src 'nonce-open; script-src-elem 'self'"],
            "</a.js>; rel=preload; as=script"
        ));
        assert!(!allows(
            &["script-src 'nonce-open; style-src 'none'"],
            "</a.css>; rel=preload; as=style"
        ));
    }

    #[test]
    fn a_policy_that_is_too_long_allows_nothing() {
        let long = format!("script-src 'self' {}", "https://a.example ".repeat(2000));
        assert!(!allows(&[&long], "</a.js>; rel=preload; as=script"));
    }
}
