//! Parses `--hop NAME=URL`. Pure.

use url::Url;

use crate::cli::visit::page_url;

/// A hop that the user names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli::probe) struct HopArg {
    /// The name in the table.
    pub(super) name: String,
    /// Scheme, host and port of the hop.
    pub(super) url: Url,
}

impl HopArg {
    /// Parses a name and the address of a hop, which has no path: all hops are asked for one page.
    pub(in crate::cli::probe) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be NAME=URL, such as varnish=http://10.0.0.5:6081, got {text:?}");
        let (name, url) = text.split_once('=').ok_or_else(wrong)?;
        let name = name.trim();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(|c: char| c.is_control() || "/:<*".contains(c)) {
            return Err(wrong());
        }
        let url = page_url(url)?;
        if url.path() != "/" || url.query().is_some() {
            return Err(format!(
                "a hop has no path: {} is asked for the page of the first URL",
                &url[..url::Position::BeforePath]
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            url,
        })
    }
}

/// Bytes of the longest name.
const MAX_NAME: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_a_name_and_an_address() {
        let hop = HopArg::parse("my varnish=http://10.0.0.5:6081").expect("a hop");
        assert_eq!(
            (hop.name.as_str(), hop.url.as_str()),
            ("my varnish", "http://10.0.0.5:6081/")
        );
        for (text, problem) in [
            ("http://10.0.0.5:6081", "NAME=URL"),
            ("=http://a/", "NAME=URL"),
            ("a", "NAME=URL"),
            ("a\u{1b}=http://b/", "NAME=URL"),
            ("http://a/?x=http://b/", "NAME=URL"),
            ("a=http://b/page", "a hop has no path"),
            ("a=http://b/?q", "a hop has no path"),
            ("a=ftp://b/", "http or https"),
            ("a=b:80", "http or https"),
        ] {
            let error = HopArg::parse(text).expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
