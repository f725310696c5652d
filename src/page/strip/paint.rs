//! Canvases are drawn a few at a time: a hundred frames at once would keep the page's thread busy.

use std::collections::VecDeque;

use leptos::prelude::*;

use super::transport::now;

/// How long one turn may draw before the rest waits for the next.
const TURN_MILLISECONDS: f64 = 6.0;

type Painting = Box<dyn FnOnce()>;

/// What is still to be drawn, in order.
#[derive(Clone, Copy)]
pub struct PaintQueue(StoredValue<VecDeque<Painting>, LocalStorage>);

impl PaintQueue {
    /// Nothing to draw.
    pub fn new() -> PaintQueue {
        PaintQueue(StoredValue::new_local(VecDeque::new()))
    }

    /// Has something drawn soon.
    pub fn add(&self, painting: impl FnOnce() + 'static) {
        let was_empty = self.0.try_update_value(|paintings| {
            paintings.push_back(Box::new(painting));
            paintings.len() == 1
        });
        if was_empty == Some(true) {
            self.turn();
        }
    }

    fn turn(self) {
        request_animation_frame(move || {
            let start = now();
            loop {
                // It stays in the queue until it is done: whatever is added meanwhile must not
                // begin a turn of its own.
                let painting = self
                    .0
                    .try_update_value(|paintings| {
                        let first = paintings.front_mut()?;
                        Some(std::mem::replace(first, Box::new(|| ())))
                    })
                    .flatten();
                let Some(painting) = painting else { return };
                painting();
                let left = self.0.try_update_value(|paintings| {
                    paintings.pop_front();
                    paintings.len()
                });
                if left.is_none_or(|left| left == 0) {
                    return;
                }
                if now() - start > TURN_MILLISECONDS {
                    self.turn();
                    return;
                }
            }
        });
    }
}
