//! The paper's Figure 5 of the strips on show: how far each step's target is from the final image.

#![expect(
    clippy::indexing_slicing,
    reason = "there are two strips, and two curves"
)]

use leptos::html;
use leptos::prelude::*;

use super::cell_strip::CellStrip;
use super::download::{FileKind, download};
use super::figure_table::FigureTable;
use crate::sampler::ModelRole;
use crate::view::rows::model_key;
use crate::view::strip::{Curve, MEASURE, axis_top, csv, json};

/// Width and height of the drawing, and its margins, in units of its own.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 38.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// The curves, what they measure, their numbers and both as files.
#[component]
pub fn Figure(
    /// The upper strip and the lower one.
    strips: [CellStrip; 2],
) -> impl IntoView {
    let curves = Memo::new(move |_| strips.map(|strip| strip.curve()));
    let has_any = Memo::new(move |_| curves.with(|curves| curves.iter().any(Option::is_some)));
    let listed = move || {
        curves.with_untracked(|curves| curves.iter().flatten().cloned().collect::<Vec<_>>())
    };
    let save = move |kind: FileKind| {
        let text = match kind {
            FileKind::Csv => Ok(csv(&listed())),
            FileKind::Json => json(&listed()),
        };
        let keys: Vec<String> = strips
            .iter()
            .filter_map(|strip| strip.cell.get_untracked())
            .map(|cell| format!("{}-{}", cell.cell.key, cell.cell.seed))
            .collect();
        let saved = text.is_ok_and(|text| {
            download(&format!("convergence-{}", keys.join("-")), kind, &text).is_ok()
        });
        if !saved {
            leptos::logging::warn!("The browser can't save the numbers.");
        }
    };
    let disclosure = NodeRef::<html::Details>::new();
    let is_open = RwSignal::new(false);
    let table = move || {
        is_open
            .get()
            .then(|| view! { <FigureTable curves=curves /> })
    };
    view! {
        <section class="figure-5" aria-labelledby="figure-5-heading">
            <h3 id="figure-5-heading">"When the picture was decided"</h3>
            <p class="help">
                "How far each step’s Diffusion Target is from the final picture, by the share of steps \
                 done. The distance is " {MEASURE} "."
            </p>
            <Show
                when=move || has_any.get()
                fallback=|| {
                    view! {
                        <p class="help">"The curve is drawn once a strip’s picture is finished."</p>
                    }
                }
            >
                <Legend strips=strips curves=curves />
                <Chart strips=strips curves=curves />
                <div class="figure-5-actions">
                    <button
                        type="button"
                        class="chip"
                        data-testid="figure-5-csv"
                        on:click=move |_| save(FileKind::Csv)
                    >
                        "Save as CSV"
                    </button>
                    <button
                        type="button"
                        class="chip"
                        data-testid="figure-5-json"
                        on:click=move |_| save(FileKind::Json)
                    >
                        "Save as JSON"
                    </button>
                </div>
                <details
                    class="figure-5-numbers"
                    node_ref=disclosure
                    on:toggle=move |_| {
                        is_open.set(disclosure.get_untracked().is_some_and(|it| it.open()));
                    }
                >
                    <summary data-testid="figure-5-numbers">"The numbers"</summary>
                    {table}
                </details>
            </Show>
        </section>
    }
}

/// Which line is which strip's: by its dashes and marks as well as by its place here.
#[component]
fn Legend(strips: [CellStrip; 2], curves: Memo<[Option<Curve>; 2]>) -> impl IntoView {
    let entry = move |index: usize| {
        let name = move || {
            let is_drawn = curves.with(|curves| curves[index].is_some());
            strips[index].cell.get().filter(|_| is_drawn)
        };
        move || {
            name().map(|cell| {
                view! {
                    <li>
                        <svg viewBox="0 0 36 12" class=line_class(index) aria-hidden="true">
                            <line x1="1" y1="6" x2="35" y2="6" class="figure-line"></line>
                            {mark(index, 18.0, 6.0, "figure-mark")}
                        </svg>
                        {cell.name()}
                    </li>
                }
            })
        }
    };
    view! {
        <ul class="figure-5-legend">
            {entry(0)} {entry(1)} <li class="figure-5-models">
                <i class="model-base"></i>
                "base model"
                <i class="model-distilled"></i>
                "distilled model"
            </li>
        </ul>
    }
}

/// The axes and a line per strip.
#[component]
fn Chart(strips: [CellStrip; 2], curves: Memo<[Option<Curve>; 2]>) -> impl IntoView {
    let top = Memo::new(move |_| {
        curves.with(|curves| {
            let all: Vec<Curve> = curves.iter().flatten().cloned().collect();
            axis_top(&all)
        })
    });
    let words = move || {
        curves.with(|curves| {
            let each = curves.iter().flatten().map(|curve| {
                let first = curve.distances.first().copied().unwrap_or_default();
                let last = curve.distances.last().copied().unwrap_or_default();
                format!(
                    "{}, seed {}: from {first:.3} after the first of {} steps to {last:.3} after \
                     the last",
                    curve.row,
                    curve.seed,
                    curve.distances.len()
                )
            });
            format!(
                "Distance to the final picture. {}.",
                each.collect::<Vec<_>>().join("; ")
            )
        })
    };
    let level = move |share: f64| {
        let y = y_of(share);
        view! {
            <line x1=LEFT y1=y x2=WIDTH - RIGHT y2=y class="figure-grid"></line>
            <text x=LEFT - 6.0 y=y + 3.5 text-anchor="end">
                {move || format!("{:.2}", top.get() * share)}
            </text>
        }
    };
    let share_label = |share: f64| {
        view! {
            <text x=x_of(share) y=HEIGHT - BOTTOM + 14.0 text-anchor="middle">
                {format!("{:.0} %", share * 100.0)}
            </text>
        }
    };
    let lines = move || {
        curves.with(|curves| {
            let lines = curves.iter().enumerate().filter_map(|(index, curve)| {
                let curve = curve.as_ref()?;
                Some(line(index, curve, top.get(), strips[index]))
            });
            lines.collect_view()
        })
    };
    view! {
        <svg
            class="figure-5-chart"
            data-testid="figure-5"
            viewBox=format!("0 0 {WIDTH} {HEIGHT}")
            role="img"
            aria-label=words
        >
            {level(0.0)} {level(0.5)} {level(1.0)} {share_label(0.0)} {share_label(0.5)}
            {share_label(1.0)}
            <text x=(LEFT + WIDTH - RIGHT) / 2.0 y=HEIGHT - 4.0 text-anchor="middle">
                "share of steps done"
            </text>
            {lines}
        </svg>
    }
}

/// A strip's line: each stretch in the colour of the model that took the step.
fn line(index: usize, curve: &Curve, top: f64, strip: CellStrip) -> impl IntoView + use<> {
    let places: Vec<(f64, f64, ModelRole)> = curve
        .points()
        .enumerate()
        .map(|(step, (_, model, distance))| (x_of(curve.share(step)), y_of(distance / top), model))
        .collect();
    let stretches = places.windows(2).filter_map(|pair| {
        let [(x1, y1, _), (x2, y2, model)] = *pair else {
            return None;
        };
        let class = format!("figure-line model-{}", model_key(model));
        Some(view! { <line x1=x1 y1=y1 x2=x2 y2=y2 class=class></line> })
    });
    let stretches = stretches.collect_view();
    let marks = places.into_iter().enumerate().map(|(step, (x, y, model))| {
        let class = move || {
            let is_shown = strip.blend.with(|blend| blend.step == step);
            format!(
                "figure-mark model-{}{}",
                model_key(model),
                if is_shown { " current" } else { "" }
            )
        };
        view! { <g class=class>{mark(index, x, y, "")}</g> }
    });
    let marks = marks.collect_view();
    view! { <g class=line_class(index) data-testid=format!("figure-5-line-{index}")>{stretches} {marks}</g> }
}

/// A disc for the upper strip, a square for the lower one.
fn mark(index: usize, x: f64, y: f64, class: &'static str) -> AnyView {
    if index == 0 {
        view! { <circle cx=x cy=y r="3.2" class=class></circle> }.into_any()
    } else {
        view! { <rect x=x - 3.0 y=y - 3.0 width="6" height="6" class=class></rect> }.into_any()
    }
}

fn line_class(index: usize) -> &'static str {
    if index == 0 {
        "figure-upper"
    } else {
        "figure-lower"
    }
}

fn x_of(share: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * share
}

fn y_of(share: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)
}
