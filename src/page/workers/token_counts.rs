//! The tokens of the prompts, which the engine counts while somebody types.

use std::time::Duration;

use leptos::prelude::*;

use super::engine::EngineClient;
use crate::protocol::engine::{Task, TaskEvent, TaskId, TokenCount};
use crate::recipe::Prompt;

/// How long nobody has to type before the tokens are counted.
const PAUSE: Duration = Duration::from_millis(200);

/// Has the engine count the tokens of prompts whenever they change, in as many lists as they are. Empty
/// while it can't.
pub fn keep_counted<const LISTS: usize>(
    prompts: impl Fn() -> [Vec<Prompt>; LISTS] + 'static,
    engine: EngineClient,
) -> RwSignal<[Vec<TokenCount>; LISTS]> {
    let counts = RwSignal::new([const { Vec::new() }; LISTS]);
    let last = StoredValue::new(None::<TaskId>);
    let mut ask = debounce(PAUSE, move |prompts: [Vec<Prompt>; LISTS]| {
        if !engine.counts_tokens.get_untracked() {
            return;
        }
        // Answers to what was typed before come too late.
        if let Some(id) = last.get_value() {
            engine.forget_task(id);
        }
        let lengths = prompts.each_ref().map(Vec::len);
        let all = prompts.into_iter().flatten().collect();
        let id = engine.run_task(Task::Tokens(all), move |event| {
            if let TaskEvent::Tokens(all) = event {
                let mut all = all.into_iter();
                // Whoever asked may be gone.
                let _ = counts.try_set(lengths.map(|length| all.by_ref().take(length).collect()));
            }
        });
        last.set_value(Some(id));
    });
    Effect::new(move |_| {
        let prompts = prompts();
        if engine.counts_tokens.get() {
            ask(prompts);
        } else {
            counts.set([const { Vec::new() }; LISTS]);
        }
    });
    counts
}
