//! Ends an engine that has died or hangs without a word, as
//! [`EngineWatch`](crate::view::engine_watch::EngineWatch) decides, and starts another one.

use std::time::Duration;

use leptos::prelude::*;

use super::engine::EngineClient;
use super::grid::CellState;
use crate::view::engine_watch::AfterHang;

/// How often the watch looks.
const INTERVAL: Duration = Duration::from_secs(1);

impl EngineClient {
    /// Watches the engine for as long as the page lives.
    pub(super) fn watch(&self) {
        let client = *self;
        set_interval(move || client.second_passed(), INTERVAL);
    }

    fn second_passed(&self) {
        if !self.has_worker() {
            return;
        }
        let activity = self.activity.get_untracked();
        let after = self.with(|inner| {
            let runs = inner.jobs.running().is_some();
            let owes_answers = !inner.replies.is_empty();
            inner.watch.second_passed(&activity, runs, owes_answers)
        });
        match after {
            None => {}
            Some(AfterHang::GoOn(sentence)) => {
                self.end_worker();
                if let Some(grid) = self.abandon(CellState::Cancelled) {
                    grid.wait_again();
                }
                self.start_pair();
                self.go_on_with_undone();
                self.notice.set(Some(sentence));
            }
            Some(AfterHang::Cancel(sentence)) => {
                self.end_worker();
                self.abandon_cancelled();
                self.start_pair();
                self.go_on_with_undone();
                self.notice.set(Some(sentence));
            }
            Some(AfterHang::GiveUp(sentence)) => {
                self.end_worker();
                self.stopped(sentence);
            }
        }
    }
}
