//! Positions along the timesteps.

/// The timestep of pure noise, where every run begins.
pub const NOISE: f64 = 1000.0;
/// How long a pass from the noise to the picture takes at the plain speed.
const PASS_MILLISECONDS: f64 = 4000.0;
/// How long the picture stays before a loop begins anew.
const HOLD_MILLISECONDS: f64 = 800.0;
/// Frames of a saved animation are shown at least this long: viewers slow shorter ones down.
const SHORTEST_MILLISECONDS: f64 = 20.0;
/// How long a saved animation stays on its last frame, at least.
const LAST_MILLISECONDS: f64 = 1000.0;
/// Weights of a blend are multiples of one part of this: finer ones can't be seen.
const WEIGHTS: f64 = 64.0;

/// Index of the step that a strip shows at a position: the last one whose timestep is not below the
/// position, or the first one where there is none. The timesteps are in the order of the steps.
pub fn shown(timesteps: &[f32], position: f64) -> usize {
    timesteps
        .iter()
        .rposition(|&timestep| f64::from(timestep) >= position)
        .unwrap_or(0)
}

/// A step's frame, and how much of the next one lies over it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blend {
    /// Index of the step.
    pub step: usize,
    /// Weight of the step after it, from 0 up to, but not including, 1.
    pub next: f32,
}

/// What a strip shows at a position where its frames fade into each other.
pub fn blend(timesteps: &[f32], position: f64) -> Blend {
    let step = shown(timesteps, position);
    let own = timesteps.get(step).copied().map(f64::from);
    let next = timesteps.get(step + 1).copied().map(f64::from);
    let weight = match (own, next) {
        (Some(own), Some(next)) if own > next => ((own - position) / (own - next)).clamp(0.0, 1.0),
        _ => 0.0,
    };
    Blend {
        step,
        next: ((weight * WEIGHTS).floor() / WEIGHTS) as f32,
    }
}

/// The timesteps of several strips from the noise down, each once.
pub fn union(strips: &[&[f32]]) -> Vec<f32> {
    let mut all: Vec<f32> = strips.iter().copied().flatten().copied().collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all.dedup();
    all
}

/// The position of the timestep after the one that is shown, towards the picture.
pub fn next(union: &[f32], position: f64) -> Option<f64> {
    let index = shown(union, position).checked_add(1)?;
    union.get(index).copied().map(f64::from)
}

/// The position of the timestep before the one that is shown, towards the noise.
pub fn previous(union: &[f32], position: f64) -> Option<f64> {
    let index = shown(union, position).checked_sub(1)?;
    union.get(index).copied().map(f64::from)
}

/// Where an animation is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playback {
    /// The timestep; below 0 while a loop holds on to the picture.
    pub position: f64,
    /// False once a single pass has reached the picture; a loop never ends.
    pub goes_on: bool,
}

impl Playback {
    /// The animation some milliseconds after a position; `speed` is a factor.
    pub fn after(position: f64, milliseconds: f64, speed: f64, loops: bool) -> Playback {
        let per_millisecond = NOISE / PASS_MILLISECONDS * speed;
        let position = position - milliseconds * per_millisecond;
        if !loops {
            return Playback {
                position: position.max(0.0),
                goes_on: position > 0.0,
            };
        }
        // The hold is time for the eye: as long at any speed.
        let end = -HOLD_MILLISECONDS * per_millisecond;
        Playback {
            position: if position > end { position } else { NOISE },
            goes_on: true,
        }
    }
}

/// How long each frame of a saved animation is shown, in milliseconds: its share of the timesteps
/// at this speed.
pub fn delays(timesteps: &[f32], speed: f64) -> Vec<u16> {
    let ends = timesteps.iter().skip(1).copied().map(f64::from);
    let mut start = NOISE;
    let mut delays = Vec::with_capacity(timesteps.len());
    for (index, end) in ends.chain([0.0]).take(timesteps.len()).enumerate() {
        let share = (start - end) / NOISE * PASS_MILLISECONDS / speed;
        let is_last = index + 1 == timesteps.len();
        let least = if is_last {
            LAST_MILLISECONDS
        } else {
            SHORTEST_MILLISECONDS
        };
        // A float becomes an integer within the integer's bounds.
        delays.push(share.max(least).round() as u16);
        start = end;
    }
    delays
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: [f32; 8] = [876.0, 751.0, 626.0, 501.0, 376.0, 251.0, 126.0, 1.0];
    const DISTILLED: [f32; 4] = [999.0, 749.0, 499.0, 249.0];

    #[test]
    fn a_strip_shows_its_last_step_that_is_not_below_the_position() {
        let cases = [
            (1000.0, 0, 0),
            (999.0, 0, 0),
            (876.0, 0, 0),
            (750.0, 1, 0),
            (749.0, 1, 1),
            (500.0, 3, 1),
            (499.0, 3, 2),
            (249.0, 5, 3),
            (1.0, 7, 3),
            (0.0, 7, 3),
            (-20.0, 7, 3),
        ];
        for (position, base, distilled) in cases {
            assert_eq!(shown(&BASE, position), base, "base at {position}");
            assert_eq!(
                shown(&DISTILLED, position),
                distilled,
                "distilled at {position}"
            );
        }
        assert_eq!(shown(&[], 500.0), 0);
    }

    #[test]
    fn frames_fade_into_each_other_along_the_timestep() {
        let at = |position| blend(&DISTILLED, position);
        assert_eq!(at(1000.0), Blend { step: 0, next: 0.0 });
        assert_eq!(at(999.0), Blend { step: 0, next: 0.0 });
        assert_eq!(at(874.0), Blend { step: 0, next: 0.5 });
        assert_eq!(at(749.0), Blend { step: 1, next: 0.0 });
        assert_eq!(at(100.0), Blend { step: 3, next: 0.0 });
        assert_eq!(blend(&[], 3.0), Blend::default());
        let almost = at(749.01);
        assert!(almost.step == 0 && almost.next > 0.98 && almost.next < 1.0);
    }

    #[test]
    fn neighbours_are_those_of_both_strips() {
        let all = union(&[&BASE, &DISTILLED, &BASE]);
        assert_eq!(all.len(), 12);
        assert!(all.is_sorted_by(|a, b| a > b));
        // Before the first step its frame is on show already: the next one is the second.
        assert_eq!(next(&all, 1000.0), Some(876.0));
        assert_eq!(next(&all, 876.0), Some(751.0));
        assert_eq!(next(&all, 760.0), Some(751.0));
        assert_eq!(next(&all, 1.0), None);
        assert_eq!(previous(&all, 1000.0), None);
        assert_eq!(previous(&all, 751.0), Some(876.0));
        // At the end the last frame is on show, so the one before it is the first that differs.
        assert_eq!(previous(&all, 0.0), Some(126.0));
        assert_eq!((next(&[], 3.0), previous(&[], 3.0)), (None, None));
    }

    #[test]
    fn a_pass_ends_at_the_picture_and_a_loop_holds_it() {
        let after =
            |position, milliseconds, loops| Playback::after(position, milliseconds, 1.0, loops);
        let half = after(NOISE, PASS_MILLISECONDS / 2.0, false);
        assert_eq!((half.position, half.goes_on), (500.0, true));
        let end = after(10.0, 100.0, false);
        assert_eq!((end.position, end.goes_on), (0.0, false));
        let held = after(10.0, 100.0, true);
        assert_eq!((held.position, held.goes_on), (-15.0, true));
        let anew = after(-190.0, 100.0, true);
        assert_eq!((anew.position, anew.goes_on), (NOISE, true));
        assert_eq!(Playback::after(NOISE, 100.0, 2.0, false).position, 950.0);
    }

    #[test]
    fn delays_are_the_shares_of_the_timesteps() {
        assert_eq!(delays(&DISTILLED, 1.0), [1004, 1000, 1000, 1000]);
        assert_eq!(delays(&DISTILLED, 2.0), [502, 500, 500, 1000]);
        assert_eq!(delays(&[999.0, 998.0], 1.0), [20, 3992]);
        assert_eq!(delays(&[], 1.0), Vec::<u16>::new());
    }
}
