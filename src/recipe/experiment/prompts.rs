//! Where an experiment's prompts come from: the paper's, typed lines, or a column of a table.

use super::error::ExperimentError;
use crate::recipe::excerpt::excerpt;

/// The prompts of the paper's Table 3.
pub const OF_THE_PAPER: [&str; 5] = [
    "Sunset beach",
    "Cute puppy",
    "Futuristic city",
    "Person",
    "Van Gogh art",
];

/// A prompt for each line that isn't empty, without the blanks around it, each once.
pub fn of_lines(text: &str) -> Vec<String> {
    each_once(text.lines())
}

/// The prompts of a table in the form of RFC 4180, each once: the column of this name, or else `prompt` or
/// `caption`, by the names in its first line. Between the columns there may be semicolons or tabs as well. A
/// table of one column without such a name is a list of prompts.
///
/// # Errors
/// It is no text, there is no such column, none of several is known to hold prompts, or a quotation doesn't
/// end.
pub fn of_csv(text: &str, column: Option<&str>) -> Result<Vec<String>, ExperimentError> {
    // What is no UTF-8 was read as this character.
    if text.contains(['\0', char::REPLACEMENT_CHARACTER]) {
        return Err(ExperimentError::NoText);
    }
    for separator in [',', ';', '\t'] {
        let lines = read_table(text, separator)?;
        let Some((header, rows)) = lines.split_first() else {
            return Ok(Vec::new());
        };
        let place = |wanted: &str| {
            header
                .iter()
                .position(|name| name.trim().eq_ignore_ascii_case(wanted))
        };
        let place = match column {
            Some(wanted) => place(wanted),
            None => place("prompt").or_else(|| place("caption")),
        };
        if let Some(place) = place {
            let cells = rows.iter().filter_map(|row| row.get(place));
            return Ok(each_once(cells.map(String::as_str)));
        }
    }
    let lines = read_csv(text)?;
    let columns = excerpt(
        &lines
            .first()
            .map(|header| header.join(", "))
            .unwrap_or_default(),
    );
    match column {
        Some(wanted) => Err(ExperimentError::NoColumn {
            column: excerpt(wanted),
            columns,
        }),
        None if lines.iter().any(|line| line.len() > 1) => {
            Err(ExperimentError::NoPromptColumn { columns })
        }
        None => Ok(each_once(lines.iter().flatten().map(String::as_str))),
    }
}

fn each_once<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    texts
        .map(str::trim)
        .filter(|text| !text.is_empty() && seen.insert(*text))
        .map(str::to_owned)
        .collect()
}

/// The cells of a table with commas between its columns, line by line. A cell in quotes may hold commas, line
/// breaks and doubled quotes; a byte order mark before the first is none of it.
///
/// # Errors
/// A quotation that doesn't end.
pub fn read_csv(text: &str) -> Result<Vec<Vec<String>>, ExperimentError> {
    read_table(text, ',')
}

fn read_table(text: &str, separator: char) -> Result<Vec<Vec<String>>, ExperimentError> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut cell = String::new();
    let mut number = 1;
    let mut quoted_since = None;
    let mut characters = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .chars()
        .peekable();
    while let Some(character) = characters.next() {
        number += usize::from(character == '\n');
        match (character, quoted_since) {
            ('"', Some(_)) if characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            ('"', Some(_)) => quoted_since = None,
            (other, Some(_)) => cell.push(other),
            ('"', None) if cell.is_empty() => quoted_since = Some(number),
            (other, None) if other == separator => line.push(std::mem::take(&mut cell)),
            ('\r', None) if characters.peek() == Some(&'\n') => {}
            ('\n', None) => {
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            (other, None) => cell.push(other),
        }
    }
    if let Some(line) = quoted_since {
        return Err(ExperimentError::OpenQuotation { line });
    }
    if !cell.is_empty() || !line.is_empty() {
        line.push(cell);
        lines.push(line);
    }
    Ok(lines)
}
