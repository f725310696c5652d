//! Where the strips stand and whether they move, for both at once.

use leptos::prelude::*;

use crate::view::strip::{NOISE, Playback, next, previous};

/// The longest time that a turn of the animation stands for: a page that was out of sight goes on
/// where it was.
const LONGEST_TURN_MILLISECONDS: f64 = 100.0;

/// The animation along the timesteps.
#[derive(Clone, Copy)]
pub struct Transport {
    /// The timestep, from [`NOISE`] down; below 0 while a loop holds on to the picture.
    pub position: RwSignal<f64>,
    pub is_playing: RwSignal<bool>,
    /// A factor of the plain speed.
    pub speed: RwSignal<f64>,
    pub loops: RwSignal<bool>,
    /// Whether frames fade into each other.
    pub fades: RwSignal<bool>,
    /// Whether it begins by itself once the frames are there.
    begins: StoredValue<bool>,
    /// Counts the starts: a turn of an earlier one ends.
    start: StoredValue<u32>,
}

impl Transport {
    /// Still, at the noise.
    pub fn new() -> Transport {
        Transport {
            position: RwSignal::new(NOISE),
            is_playing: RwSignal::new(false),
            speed: RwSignal::new(1.0),
            loops: RwSignal::new(false),
            fades: RwSignal::new(false),
            begins: StoredValue::new(false),
            start: StoredValue::new(0),
        }
    }

    /// Turns to another strip. A finished one starts at the noise and plays once, unless less motion
    /// is wanted; one that is being drawn shows its latest step.
    pub fn turn_to(&self, is_finished: bool) {
        self.pause();
        self.begins.set_value(is_finished && !wants_less_motion());
        self.position.set(if is_finished { NOISE } else { 0.0 });
    }

    /// Called once the frames are there: plays if the strip is to begin by itself.
    pub fn frames_are_there(&self) {
        if self.begins.get_value() {
            self.play();
        }
    }

    /// Plays on, or from the noise again.
    pub fn play(&self) {
        self.begins.set_value(false);
        if self.position.get_untracked() <= 0.0 {
            self.position.set(NOISE);
        }
        self.is_playing.set(true);
        let start = self.start.get_value().wrapping_add(1);
        self.start.set_value(start);
        self.turn(start, now());
    }

    /// Stands still.
    pub fn pause(&self) {
        self.begins.set_value(false);
        self.start
            .update_value(|start| *start = start.wrapping_add(1));
        if self.is_playing.get_untracked() {
            self.is_playing.set(false);
        }
    }

    /// Plays or stands still.
    pub fn toggle(&self) {
        if self.is_playing.get_untracked() {
            self.pause();
        } else {
            self.play();
        }
    }

    /// Stops at a position.
    pub fn go_to(&self, position: f64) {
        self.pause();
        self.position.set(position.clamp(0.0, NOISE));
    }

    /// Stops at the next of these timesteps towards the picture.
    pub fn step_on(&self, timesteps: &[f32]) {
        let position = self.position.get_untracked();
        self.go_to(next(timesteps, position).unwrap_or(position));
    }

    /// Stops at the next of these timesteps towards the noise.
    pub fn step_back(&self, timesteps: &[f32]) {
        let position = self.position.get_untracked();
        self.go_to(previous(timesteps, position).unwrap_or(position));
    }

    /// Draws one frame of the animation and asks for the next one; nothing runs while it is paused.
    fn turn(self, start: u32, last: f64) {
        request_animation_frame(move || {
            if self.start.try_get_value() != Some(start) {
                return;
            }
            let now = now();
            let playback = Playback::after(
                self.position.get_untracked(),
                (now - last).clamp(0.0, LONGEST_TURN_MILLISECONDS),
                self.speed.get_untracked(),
                self.loops.get_untracked(),
            );
            self.position.set(playback.position);
            if playback.goes_on {
                self.turn(start, now);
            } else {
                self.is_playing.set(false);
            }
        });
    }
}

/// The page's clock, in milliseconds.
pub fn now() -> f64 {
    window()
        .performance()
        .map_or(0.0, |performance| performance.now())
}

fn wants_less_motion() -> bool {
    window()
        .match_media("(prefers-reduced-motion: reduce)")
        .ok()
        .flatten()
        .is_some_and(|query| query.matches())
}
