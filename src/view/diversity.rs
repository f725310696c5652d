//! The words for a row's diversity, and for how much it differs from that of another row.

use crate::metrics::{Difference, Diversity};
use crate::recipe::{Mode, Row};

/// The interval of a row's diversity, such as "0.31 to 0.52"; none where the pictures are too few for one.
pub fn interval(diversity: &Diversity) -> Option<String> {
    diversity.interval().map(range)
}

/// The row that a row is compared with, by their places: the distilled one of the same prompt, or the first
/// of it where there is none. None for that row itself, and for a row that is alone with its prompt.
pub fn compared_with(rows: &[Row], place: usize) -> Option<usize> {
    let row = rows.get(place)?;
    let same = || {
        rows.iter()
            .enumerate()
            .filter(|(_, other)| other.prompt == row.prompt)
    };
    let distilled = same().find(|(_, other)| other.mode == Mode::Distilled);
    let (reference, _) = distilled.or_else(|| same().next())?;
    (reference != place).then_some(reference)
}

/// How much more diverse a row is than the row `other`, with its interval.
pub fn difference(difference: &Difference, other: &str) -> String {
    let [low, high] = difference.interval;
    if low <= 0.0 && high >= 0.0 {
        return format!(
            "not surely more or less than {other} ({})",
            range([low, high])
        );
    }
    if difference.mean > 0.0 {
        format!(
            "{:.2} more than {other} ({})",
            difference.mean,
            range([low, high])
        )
    } else {
        format!(
            "{:.2} less than {other} ({})",
            -difference.mean,
            range([-high, -low])
        )
    }
}

fn range([low, high]: [f64; 2]) -> String {
    // A minus sign, and none before a zero.
    let number = |value: f64| {
        let text = format!("{:.2}", value.abs());
        if value < 0.0 && text != "0.00" {
            format!("−{text}")
        } else {
            text
        }
    };
    format!("{} to {}", number(low), number(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Axis, Recipe};

    #[test]
    fn an_interval_ends_where_distances_end() {
        let diversity = |mean, margin| Diversity {
            mean,
            margin,
            pictures: 4,
        };
        assert_eq!(
            interval(&diversity(0.25, Some(0.5))).as_deref(),
            Some("0.00 to 0.75")
        );
        assert_eq!(
            interval(&diversity(0.9, Some(0.2))).as_deref(),
            Some("0.70 to 1.00")
        );
        assert_eq!(interval(&diversity(0.9, None)), None);
    }

    #[test]
    fn a_difference_says_which_row_has_more_or_that_nobody_knows() {
        let of = |mean, interval| Difference {
            mean,
            interval,
            pictures: 8,
        };
        assert_eq!(
            difference(&of(0.21, [0.15, 0.272]), "Distilled"),
            "0.21 more than Distilled (0.15 to 0.27)"
        );
        assert_eq!(
            difference(&of(-0.21, [-0.27, -0.15]), "Distilled"),
            "0.21 less than Distilled (0.15 to 0.27)"
        );
        assert_eq!(
            difference(&of(0.01, [-0.05, 0.07]), "Base"),
            "not surely more or less than Base (−0.05 to 0.07)"
        );
    }

    #[test]
    fn rows_are_compared_within_a_prompt_and_with_the_distilled_one() {
        let recipe = Recipe {
            prompt: "a".into(),
            modes: vec![Mode::Base, Mode::Distilled, Mode::Hybrid],
            ..Recipe::default()
        };
        let compared = |recipe: &Recipe| -> Vec<Option<usize>> {
            let rows = recipe.rows();
            (0..rows.len())
                .map(|place| compared_with(&rows, place))
                .collect()
        };
        assert_eq!(compared(&recipe), [Some(1), None, Some(1)]);
        let without = Recipe {
            modes: vec![Mode::Base, Mode::Hybrid],
            ..recipe.clone()
        };
        assert_eq!(compared(&without), [None, Some(0)]);
        let prompts = Recipe {
            modes: vec![Mode::Hybrid],
            axis: Axis::Prompts(vec!["b".into()]),
            ..recipe
        };
        assert_eq!(compared(&prompts), [None, None]);
    }
}
