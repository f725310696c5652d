//! The tables and figures of the experiment on show, each figure beside its table.

use leptos::prelude::*;

use super::runner::Experiments;
use super::save;
use crate::results::figure::{Figure, svg};
use crate::results::{Cell, Table};
use crate::view::experiments::layout::{Section, sections};

/// What was found so far; nothing before the first picture. What changes is drawn anew in its place, so that
/// the focus and the place of scrolling stay.
#[component]
pub fn ResultsView(experiments: Experiments) -> impl IntoView {
    let on_saved = Callback::new(move |is_saved: bool| {
        if !is_saved {
            experiments.problem.set(Some(save::REFUSED.to_owned()));
        }
    });
    let report = experiments.report;
    let parts = Memo::new(move |_| {
        report.with(|report| {
            let report = report.as_ref();
            report.map(|report| sections(report)).unwrap_or_default()
        })
    });
    let has_one = Memo::new(move |_| report.with(Option::is_some));
    let title = move || report.with(|it| it.as_ref().map(|it| it.title.clone()));
    let summary = move || report.with(|it| it.as_ref().map(|it| it.summary.clone()));
    let keys = move || {
        parts.with(|parts| {
            let keys = parts.iter().map(|part| {
                let figure = part.figure.as_ref().map(|figure| figure.key.clone());
                (part.table.key.clone(), figure)
            });
            keys.collect::<Vec<_>>()
        })
    };
    move || {
        has_one.get().then(|| {
            view! {
                <article class="experiment-report" data-testid="experiment-report">
                    <h2>{title}</h2>
                    <p class="help">{summary}</p>
                    <For
                        each=keys
                        key=Clone::clone
                        children=move |(key, _)| {
                            let section = Memo::new(move |last: Option<&Option<Section>>| {
                                let found = parts
                                    .with(|parts| {
                                        parts.iter().find(|part| part.table.key == key).cloned()
                                    });
                                // One that goes is drawn once more before it is taken away.
                                found.or_else(|| last.cloned().flatten())
                            });
                            view! { <SectionView section=section on_saved=on_saved /> }
                        }
                    />
                </article>
            }
        })
    }
}

#[component]
fn SectionView(section: Memo<Option<Section>>, on_saved: Callback<bool>) -> impl IntoView {
    let figure =
        Memo::new(move |_| section.with(|it| it.as_ref().and_then(|it| it.figure.clone())));
    let table = Memo::new(move |_| section.with(|it| it.as_ref().map(|it| it.table.clone())));
    let title = move || table.with(|it| it.as_ref().map(|it| it.title.clone()));
    view! {
        <section class="experiment-part" aria-label=title>
            {figure
                .with_untracked(Option::is_some)
                .then(|| view! { <FigureView figure=figure on_saved=on_saved /> })}
            <TableView table=table on_saved=on_saved />
        </section>
    }
}

#[component]
fn FigureView(figure: Memo<Option<Figure>>, on_saved: Callback<bool>) -> impl IntoView {
    let word = move |of: fn(&Figure) -> String| figure.with(|it| it.as_ref().map(of));
    let title = move || word(|it| it.title.clone()).unwrap_or_default();
    let save_svg = move || {
        if let Some(figure) = figure.get_untracked() {
            on_saved.run(save::figure(&figure).is_ok());
        }
    };
    let save_png = move || {
        if let Some(figure) = figure.get_untracked() {
            leptos::task::spawn_local(async move {
                on_saved.run(save::figure_png(&figure).await.is_ok());
            });
        }
    };
    view! {
        <figure data-testid=move || word(|it| format!("figure-{}", it.key))>
            // Scrolls by itself where there is little room, so the keyboard has to reach it.
            <div
                class="experiment-figure"
                tabindex="0"
                role="region"
                aria-label=title
                inner_html=move || word(svg).unwrap_or_default()
            ></div>
            <figcaption class="help">{move || word(|it| it.description.clone())}</figcaption>
            <div class="experiment-buttons">
                <SaveButton
                    what="figure"
                    title=title
                    format="SVG"
                    on_save=save_svg
                />
                <SaveButton
                    what="figure"
                    title=title
                    format="PNG"
                    on_save=save_png
                />
            </div>
        </figure>
    }
}

#[component]
fn TableView(table: Memo<Option<Table>>, on_saved: Callback<bool>) -> impl IntoView {
    let word = move |of: fn(&Table) -> String| table.with(|it| it.as_ref().map(of));
    let title = move || word(|it| it.title.clone()).unwrap_or_default();
    let content = move || {
        table.with(|table| {
            let table = table.as_ref()?;
            let header = table
                .columns
                .iter()
                .map(|column| view! { <th scope="col">{column.name.clone()}</th> })
                .collect_view();
            let rows = table.rows.iter().map(|row| row_view(row));
            Some(view! {
                <thead>
                    <tr>{header}</tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            })
        })
    };
    let save_csv = move || {
        if let Some(table) = table.get_untracked() {
            on_saved.run(save::table(&table).is_ok());
        }
    };
    view! {
        <div class="experiment-table">
            <h3>{title}</h3>
            // Scrolls by itself, so the keyboard has to reach it.
            <div class="numbers" tabindex="0" role="region" aria-label=title>
                <table data-testid=move || word(|it| format!("table-{}", it.key))>
                    <caption class="visually-hidden">{title}</caption>
                    {content}
                </table>
            </div>
            <p class="help">{move || word(|it| it.note.clone())}</p>
            <div class="experiment-buttons">
                <SaveButton
                    what="table"
                    title=title
                    format="CSV"
                    on_save=save_csv
                />
            </div>
        </div>
    }
}

/// Saves a figure or a table in a format.
#[component]
fn SaveButton(
    what: &'static str,
    title: impl Fn() -> String + Copy + Send + 'static,
    format: &'static str,
    on_save: impl Fn() + 'static,
) -> impl IntoView {
    view! {
        <button
            type="button"
            class="chip"
            aria-label=move || format!("Save the {what} {} as {format}", title())
            on:click=move |_| on_save()
        >
            {format}
        </button>
    }
}

fn row_view(row: &[Cell]) -> impl IntoView + use<> {
    let cells = row.iter().enumerate().map(|(place, cell)| {
        let text = cell.text();
        if place == 0 {
            view! { <th scope="row">{text}</th> }.into_any()
        } else {
            view! { <td>{text}</td> }.into_any()
        }
    });
    view! { <tr>{cells.collect_view()}</tr> }
}
