//! Labels that are shortened to a width.

/// The text, or as much of its beginning as fits together with an ellipsis. `fits` measures a text; a
/// shorter one has to fit wherever a longer one does.
pub fn ellipsized(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    let ends: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    let shortened = |end: usize| format!("{}…", text[..end].trim_end());
    let fitting = ends.partition_point(|end| fits(&shortened(*end)));
    // The ellipsis alone is returned even where it doesn't fit.
    let end = fitting.checked_sub(1).and_then(|index| ends.get(index));
    shortened(end.copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(most: usize) -> impl Fn(&str) -> bool {
        move |text| text.chars().count() <= most
    }

    #[test]
    fn a_text_keeps_what_fits() {
        for (text, most, expected) in [
            ("", 0, ""),
            ("heart", 5, "heart"),
            ("heart", 4, "hea…"),
            ("a heart", 3, "a…"),
            ("漢字漢字", 3, "漢字…"),
            ("🍎🍎🍎", 2, "🍎…"),
            ("heart", 1, "…"),
            ("heart", 0, "…"),
        ] {
            assert_eq!(ellipsized(text, within(most)), expected);
        }
    }
}
