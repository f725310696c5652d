//! A report as a page of Markdown, with the figures beside it as files.

use super::report::Report;
use super::table::Table;

/// The page. Figures are in files of their keys, with `.svg`, in this folder.
pub fn markdown(report: &Report, figures_folder: &str) -> String {
    let mut text = format!("# {}\n\n{}\n", plain(&report.title), plain(&report.summary));
    for figure in &report.figures {
        text += &format!(
            "\n![{}]({figures_folder}/{}.svg)\n",
            plain(&figure.title),
            figure.key
        );
    }
    for table in &report.tables {
        text += &format!("\n{}", table_text(table));
    }
    text
}

fn table_text(table: &Table) -> String {
    let cell = |text: &str| plain(text).replace('|', "\\|").replace('\n', " ");
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("## {}\n\n{}\n\n", plain(&table.title), plain(&table.note));
    let names = table.columns.iter().map(|column| cell(&column.name));
    text += &line(names.collect());
    text += &line(vec!["---".to_owned(); table.columns.len()]);
    for row in &table.rows {
        text += &line(row.iter().map(|it| cell(&it.text())).collect());
    }
    text
}

/// Text of which nothing is read as Markdown or HTML: prompts and names are anybody's.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            // Within a word it means nothing.
            '_' if before.is_alphanumeric()
                && characters.peek().is_some_and(|it| it.is_alphanumeric()) =>
            {
                plain.push('_');
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' => plain.extend(['\\', character]),
            other => plain.push(other),
        }
        before = character;
    }
    plain
}
