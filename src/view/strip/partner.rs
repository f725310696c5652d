//! Which cell a strip is compared with.

use crate::recipe::{CellAddress, Mode, Row};

/// The cell of the same seed to put beneath an opened one: one of the same prompt rather than
/// another's, and the base model against the others; none in a grid of one row.
pub fn partner(rows: &[Row], opened: CellAddress) -> Option<CellAddress> {
    let own = rows.get(usize::try_from(opened.row).ok()?)?;
    let is_base = |row: &Row| row.mode == Mode::Base;
    rows.iter()
        .zip(0u32..)
        .filter(|&(_, index)| index != opened.row)
        .min_by_key(|&(row, index)| {
            let is_alike = is_base(row) == is_base(own);
            (row.prompt != own.prompt, is_alike, index)
        })
        .map(|(_, row)| CellAddress {
            row,
            column: opened.column,
        })
}

/// The wanted cell, or where that is the opened one itself, the same row's next seed; none where
/// there is no other seed.
pub fn other_than(
    opened: CellAddress,
    wanted: CellAddress,
    seed_count: u32,
) -> Option<CellAddress> {
    if wanted != opened {
        return Some(wanted);
    }
    (seed_count > 1).then(|| CellAddress {
        row: wanted.row,
        column: (wanted.column + 1) % seed_count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Variant;

    fn row(mode: Mode, prompt: &str) -> Row {
        Row {
            mode,
            prompt: prompt.to_owned(),
            k: 1,
            hybrid_base_guidance: 0.0,
            adapters: Vec::new(),
            variant: Variant::Only,
        }
    }

    fn at(row: u32, column: u32) -> CellAddress {
        CellAddress { row, column }
    }

    #[test]
    fn the_base_model_is_compared_with_the_others() {
        let rows = Mode::ALL.map(|mode| row(mode, "a dog"));
        for other in 1..4 {
            assert_eq!(partner(&rows, at(other, 5)), Some(at(0, 5)));
        }
        assert_eq!(partner(&rows, at(0, 2)), Some(at(1, 2)));
        assert_eq!(partner(&rows[1..], at(1, 0)), Some(at(0, 0)));
        assert_eq!(partner(&rows[..1], at(0, 0)), None);
        assert_eq!(partner(&rows, at(9, 0)), None);
    }

    #[test]
    fn a_row_of_the_same_prompt_comes_first() {
        let rows = [
            row(Mode::Base, "a dog"),
            row(Mode::Hybrid, "a dog"),
            row(Mode::Distilled, "a cat"),
            row(Mode::Hybrid, "a cat"),
        ];
        assert_eq!(partner(&rows, at(3, 0)), Some(at(2, 0)));
        assert_eq!(partner(&rows, at(1, 0)), Some(at(0, 0)));
    }

    #[test]
    fn a_strip_is_not_compared_with_itself() {
        assert_eq!(other_than(at(0, 1), at(2, 1), 4), Some(at(2, 1)));
        assert_eq!(other_than(at(0, 3), at(0, 3), 4), Some(at(0, 0)));
        assert_eq!(other_than(at(0, 0), at(0, 0), 1), None);
    }
}
