//! How much of what the emoji pair knows a prompt's pictures show: styles, backgrounds, places and sizes, as its
//! classifier sees them. `tools/train/evaluate.py` counts the same for the pair's card.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The class that a classifier takes a picture for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Its place among the classes.
    pub index: usize,
    /// The probability that the classifier gives it.
    pub probability: f32,
}

impl Class {
    /// The likeliest class of some logits; the first where there are none.
    pub fn of(logits: &[f32]) -> Self {
        let places = logits.iter().copied().enumerate();
        let largest = places.max_by(|(_, first), (_, second)| first.total_cmp(second));
        let (index, most) = largest.unwrap_or_default();
        let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
        Self {
            index,
            probability: if sum > 0.0 { 1.0 / sum } else { 0.0 },
        }
    }

    /// Whether the classifier is surer of it than of all others together.
    pub fn is_sure(&self) -> bool {
        self.probability > 0.5
    }
}

/// What the emoji pair's classifier takes a picture for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The thing.
    pub concept: Class,
    /// The style that it is drawn in.
    pub style: Class,
    /// The colour of the background.
    pub background: Class,
    /// The thing's centre from -1 to 1, across and down, and its size as a share of the picture's.
    pub placement: [f32; 3],
}

/// How much the pictures of one prompt cover.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Styles of which the classifier is sure in at least one picture.
    pub styles: usize,
    /// Backgrounds of which it is.
    pub backgrounds: usize,
    /// Deviation of the thing's centre, across and down together, as a share of the picture's side.
    pub place: f64,
    /// Deviation of the thing's size, as a share of the picture's side.
    pub size: f64,
    /// Number of pictures.
    pub pictures: usize,
}

impl Coverage {
    /// That of pictures; none for fewer than two.
    pub fn of(pictures: &[Judged]) -> Option<Self> {
        if pictures.len() < 2 {
            return None;
        }
        let classes = |class: fn(&Judged) -> Class| {
            let sure = pictures.iter().map(class).filter(Class::is_sure);
            sure.map(|class| class.index).collect::<BTreeSet<_>>().len()
        };
        let [across, down, size] =
            [0, 1, 2].map(|axis| variance(pictures.iter().map(|it| it.placement[axis].into())));
        Some(Self {
            styles: classes(|it| it.style),
            backgrounds: classes(|it| it.background),
            // From -1 to 1 is twice the picture's side.
            place: (across + down).sqrt() / 2.0,
            size: size.sqrt(),
            pictures: pictures.len(),
        })
    }
}

/// The variance of at least two values, without bias.
fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_share_of_all_logits() {
        let class = Class::of(&[0.0, 2f32.ln(), f32::NEG_INFINITY]);
        assert_eq!(class.index, 1);
        assert!((class.probability - 2.0 / 3.0).abs() < 1e-6 && class.is_sure());
        assert!(!Class::of(&[1.0, 1.0]).is_sure());
        assert!(!Class::of(&[]).is_sure());
    }

    #[test]
    fn only_what_the_classifier_is_sure_of_is_covered() {
        let picture = |style, probability, placement| Judged {
            concept: Class::of(&[1.0]),
            style: Class {
                index: style,
                probability,
            },
            background: Class::of(&[9.0, 0.0]),
            placement,
        };
        let pictures = [
            picture(0, 0.9, [0.5, 0.0, 0.5]),
            picture(3, 0.4, [-0.5, 0.0, 0.7]),
            picture(0, 0.7, [0.0, 0.0, 0.9]),
            picture(2, 0.6, [0.0, 0.0, 0.7]),
        ];
        let found = Coverage::of(&pictures).expect("four");
        assert_eq!((found.styles, found.backgrounds, found.pictures), (2, 1, 4));
        // Variances of 0.5/3 and 0.08/3.
        assert!((found.place - (0.5f64 / 3.0).sqrt() / 2.0).abs() < 1e-6);
        assert!((found.size - (0.08f64 / 3.0).sqrt()).abs() < 1e-6);
        assert_eq!(Coverage::of(&pictures[..1]), None);
    }
}
