//! Holds a link in the one spelling that stands for all: in learning, in a 103, and in the judgement of both.

/// A link in canonical spelling: the bytes up to `identity` say which link it is, the rest how it is fetched.
///
/// Two values are equal if their identities are.
#[derive(Debug, Clone)]
pub struct Spelled {
    text: Box<[u8]>,
    identity: usize,
}

impl Spelled {
    /// Takes a text whose first `identity` bytes say which link it is.
    pub(super) fn new(text: Vec<u8>, identity: usize) -> Self {
        Self {
            text: text.into(),
            identity,
        }
    }

    /// The whole link, as a field value.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The link as a 103 carries it, with no parameter that browsers do not know: all but `nopush`.
    ///
    /// `anchor`, `media` and `imagesrcset` stand there if the link has them: callers keep such links out of a 103, and
    /// [remove](super::ResourceHint::without_anchor) an anchor that names the document.
    #[must_use]
    pub fn hint(&self) -> &[u8] {
        self.text.strip_suffix(NOPUSH).unwrap_or(&self.text)
    }

    /// The part of the text that says which link it is: target, relation, and what decides whether links are the same.
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        self.text.get(..self.identity).unwrap_or_default()
    }

    /// The target, as the link names it.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        let inside = self.text.strip_prefix(b"<").unwrap_or_default();
        inside.split(|&byte| byte == b'>').next().unwrap_or_default()
    }

    /// Returns whether the link asks for a fetch of its target, not merely for a connection.
    #[must_use]
    pub fn is_fetch(&self) -> bool {
        !self.behind_target().starts_with(b"; rel=preconnect")
    }

    /// Returns whether two links differ in nothing that makes them two links but their targets.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.behind_target() == other.behind_target()
    }

    /// The identity without the target.
    pub(super) fn behind_target(&self) -> &[u8] {
        self.identity().get(self.target().len() + 2..).unwrap_or_default()
    }

    /// Returns whether the whole texts are equal, not only the identities.
    #[must_use]
    pub fn is_verbatim(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl AsRef<[u8]> for Spelled {
    fn as_ref(&self) -> &[u8] {
        self.text()
    }
}

impl PartialEq for Spelled {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Spelled {}

/// The end of the text of a link that is not to be pushed.
pub(super) const NOPUSH: &[u8] = b"; nopush";
