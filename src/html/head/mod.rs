//! Finds the elements of the head, and its end, by tree construction (HTML, section 13.2.6).
//!
//! Up to the end of the head, the insertion modes "initial", "before html", "before head" and "in head" take the same
//! start tags, or imply the next mode, so one mode stands for them here. The first text, or the first tag that may not
//! stand in a head, ends the head. Scripting counts as enabled, so `noscript` contains text, not elements. `</head>`
//! ends the reading: elements behind it that browsers move into the head are not read.
//!
//! Files: `tag` (a tag's attributes), `template` (elements open inside templates), `element` (which elements cause a
//! fetch), `value` (the meaning of attributes).

use std::collections::VecDeque;

use html5gum::{Emitter, Error, State};

use self::{
    tag::{Attribute, Attributes, TagName},
    template::Templates,
};
use super::{
    link::HtmlLink,
    reason::{HtmlReason, HtmlSkip},
};

mod element;
mod tag;
mod template;
mod value;

pub(super) use element::Page;

/// A fact about the head, in document order.
#[derive(Debug)]
pub(super) enum HeadEvent {
    /// A fetch.
    Fetch(HtmlLink),
    /// A skipped element, with its URL as received.
    Skip(Box<str>, HtmlSkip),
    /// A Content-Security-Policy; `None` if it is too long.
    Policy(Option<Box<str>>),
    /// The end of the head.
    End,
    /// A reason to stop reading.
    Fail(HtmlReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Start,
    End,
    Other,
}

/// Receiver of the tokenizer's tokens.
#[derive(Debug)]
pub(super) struct HeadReader {
    page: Page,
    tags_left: usize,
    token: Token,
    name: TagName,
    last_start: TagName,
    is_closed: bool,
    attributes: Attributes,
    templates: Templates,
    /// Whether the reader is inside an element whose content is text, up to its end tag.
    in_text: bool,
    /// The event of the open script, held back until its end tag: browsers do not run a script that is never closed.
    script: Option<HeadEvent>,
    has_ended: bool,
    events: VecDeque<HeadEvent>,
}

impl HeadReader {
    /// Makes a reader of at most `tags` tags, which stores at most `longest` bytes of an attribute.
    pub(super) fn new(page: Page, tags: usize, longest: usize) -> Self {
        Self {
            page,
            tags_left: tags,
            token: Token::Other,
            name: TagName::default(),
            last_start: TagName::default(),
            is_closed: false,
            attributes: Attributes::new(longest),
            templates: Templates::default(),
            in_text: false,
            script: None,
            has_ended: false,
            events: VecDeque::new(),
        }
    }

    fn start(&mut self) -> Option<State> {
        let name = self.last_start.known();
        if self.templates.is_open() {
            return self.templates.start(name, self.is_closed, &self.attributes);
        }
        match name {
            b"html" | b"head" | b"basefont" | b"bgsound" => {}
            b"base" => self.page.base(&self.attributes),
            b"meta" => {
                let policy = self.page.meta(&self.attributes);
                self.events.extend(policy.map(HeadEvent::Policy));
            }
            b"link" => {
                let fetch = self.page.link(&self.attributes);
                self.events
                    .extend(fetch.map(|outcome| event(outcome, &self.attributes, Attribute::Href)));
            }
            b"script" => {
                let fetch = self.page.script(&self.attributes);
                self.script = fetch.map(|outcome| event(outcome, &self.attributes, Attribute::Src));
                return Some(State::ScriptData);
            }
            b"title" => return Some(State::RcData),
            b"style" | b"noscript" | b"noframes" => return Some(State::RawText),
            b"template" => self.templates.open_template(),
            _ => self.end_head(),
        }
        None
    }

    fn end(&mut self) {
        if self.in_text {
            self.in_text = false;
            self.events.extend(self.script.take());
        } else if self.templates.is_open() {
            self.templates.end(self.name.known());
        } else if matches!(self.name.known(), b"head" | b"body" | b"html" | b"br") {
            self.end_head();
        }
    }

    fn end_head(&mut self) {
        self.has_ended = true;
        self.events.push_back(HeadEvent::End);
    }

    fn fail(&mut self, reason: HtmlReason) {
        self.has_ended = true;
        self.events.push_back(HeadEvent::Fail(reason));
    }
}

fn event(outcome: Result<HtmlLink, HtmlSkip>, attributes: &Attributes, url: Attribute) -> HeadEvent {
    match outcome {
        Ok(link) => HeadEvent::Fetch(link),
        Err(reason) => HeadEvent::Skip(attributes.get(url).unwrap_or_default().into(), reason),
    }
}

impl Emitter for HeadReader {
    type Token = HeadEvent;

    fn pop_token(&mut self) -> Option<HeadEvent> {
        self.events.pop_front()
    }

    fn emit_string(&mut self, text: &[u8]) {
        let is_passed_over = self.has_ended || self.in_text || self.templates.is_open();
        if !is_passed_over && !text.iter().all(u8::is_ascii_whitespace) {
            self.end_head();
        }
    }

    fn init_start_tag(&mut self) {
        self.token = Token::Start;
        self.is_closed = false;
        self.name.clear();
        self.attributes.clear();
    }

    fn init_end_tag(&mut self) {
        self.token = Token::End;
        self.name.clear();
        self.attributes.clear();
    }

    fn push_tag_name(&mut self, name: &[u8]) {
        self.name.push(name);
    }

    fn init_attribute(&mut self) {
        self.attributes.begin();
    }

    fn push_attribute_name(&mut self, name: &[u8]) {
        self.attributes.push_name(name);
    }

    fn init_attribute_value(&mut self) {
        self.attributes.complete();
    }

    fn push_attribute_value(&mut self, value: &[u8]) {
        if self.token == Token::Start {
            self.attributes.push_value(value);
        }
    }

    fn set_self_closing(&mut self) {
        self.is_closed = true;
    }

    fn emit_current_tag(&mut self) -> Option<State> {
        let token = std::mem::replace(&mut self.token, Token::Other);
        if self.has_ended {
            return None;
        }
        let Some(tags_left) = self.tags_left.checked_sub(1) else {
            self.fail(HtmlReason::TooManyTags);
            return None;
        };
        self.tags_left = tags_left;
        self.attributes.complete();
        let state = match token {
            Token::Start => {
                std::mem::swap(&mut self.last_start, &mut self.name);
                self.start()
            }
            Token::End => {
                self.end();
                None
            }
            Token::Other => None,
        };
        if self.templates.is_too_deep() {
            self.fail(HtmlReason::TooDeep);
        }
        self.in_text |= state.is_some();
        state
    }

    fn current_is_appropriate_end_tag_token(&mut self) -> bool {
        let name = self.name.known();
        self.token == Token::End && !name.is_empty() && name == self.last_start.known()
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&mut self) -> bool {
        self.templates.is_foreign()
    }

    fn set_last_start_tag(&mut self, name: Option<&[u8]>) {
        self.last_start.clear();
        self.last_start.push(name.unwrap_or_default());
    }

    fn should_emit_errors(&mut self) -> bool {
        false
    }

    fn emit_error(&mut self, _: Error) {}
    fn emit_eof(&mut self) {}
    fn init_comment(&mut self) {
        self.token = Token::Other;
    }
    fn push_comment(&mut self, _: &[u8]) {}
    fn emit_current_comment(&mut self) {}
    fn init_doctype(&mut self) {
        self.token = Token::Other;
    }
    fn push_doctype_name(&mut self, _: &[u8]) {}
    fn set_doctype_public_identifier(&mut self, _: &[u8]) {}
    fn push_doctype_public_identifier(&mut self, _: &[u8]) {}
    fn set_doctype_system_identifier(&mut self, _: &[u8]) {}
    fn push_doctype_system_identifier(&mut self, _: &[u8]) {}
    fn set_force_quirks(&mut self) {}
    fn emit_current_doctype(&mut self) {}
}
