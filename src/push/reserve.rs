//! The plan of a document among those of its connection.

use std::sync::Arc;

use super::{
    plan::{Http2Facts, Plan},
    state::{PushState, Slot},
};

impl PushState {
    /// Plans with the state of this moment and reserves what is planned, so that two documents in
    /// flight at once never promise the same asset, nor more together than the client takes.
    pub fn plan(self: &Arc<Self>, plan: impl FnOnce(&Http2Facts<'_>) -> Plan) -> Plan {
        let mut ledger = self.ledger();
        let mut planned = plan(&Http2Facts {
            accepts_push: self.accepts_push(),
            max_concurrent_streams: self.max_concurrent_streams(),
            open_promises: ledger.open_promises,
            refusals: self.refusals(),
            diary: &ledger.diary,
        });
        for promise in &mut planned.promises {
            promise.slot = Some(Arc::new(Slot::new(self, promise.key, &mut ledger)));
        }
        planned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Known;

    fn knows(client: &Arc<PushState>, path: &str) -> Option<Known> {
        let mut known = None;
        client.plan(|http2| {
            known = http2.diary.knows(http2.diary.key("https", "shop.example", path));
            Plan::default()
        });
        known
    }

    #[test]
    fn only_who_takes_pushes_has_a_diary() {
        let client = Arc::new(PushState::new(16));
        client.set_enable_push(false);
        client.record_fetched("https", "shop.example", "/a.css");
        client.set_enable_push(true);
        client.record_fetched("https", "shop.example", "/b.css");
        assert_eq!(
            (knows(&client, "/a.css"), knows(&client, "/b.css")),
            (None, Some(Known::Fetched))
        );
    }
}
