//! What the engine measures, as a table with a report to copy.

use leptos::prelude::*;

use super::clipboard;
use crate::page::workers::engine::EngineClient;
use crate::view::stats::{About, COUNT_HEADINGS, Line, Stats, version};

/// The measurements, while the page's address asks for them. On the CPU they are times alone.
#[component]
pub fn StatsPanel(engine: EngineClient) -> impl IntoView {
    let is_shown = Memo::new(move |_| engine.stats.with(Option::is_some));
    view! { {move || is_shown.get().then(|| view! { <Measurements engine=engine /> })} }
}

#[component]
fn Measurements(engine: EngineClient) -> impl IntoView {
    let about = Memo::new(move |_| About {
        version: version(),
        user_agent: window().navigator().user_agent().unwrap_or_default(),
        pair: engine.pair_address.get(),
        image_size: engine
            .grid
            .with(|grid| Some(grid.as_ref()?.image_size))
            .or_else(|| {
                engine.pair.with(|pair| {
                    let own = pair.as_ref()?.sizes.own;
                    Some((own.width, own.height))
                })
            }),
        device: engine.device.get(),
    });
    let lines = Memo::new(move |_| {
        engine
            .stats
            .with(|stats| stats.as_ref().map(Stats::lines).unwrap_or_default())
    });
    let facts = Memo::new(move |_| {
        engine.stats.with(|stats| {
            let stats = stats.as_ref()?;
            Some(about.with(|about| stats.facts(about)))
        })
    });
    let has_counts =
        Memo::new(move |_| lines.with(|lines| lines.iter().any(|line| line.counts.is_some())));

    let (copied, set_copied) = signal("");
    // The report, where the visitor has to copy it by hand.
    let (by_hand, set_by_hand) = signal(None::<String>);
    let copy = move |_| {
        let report = untrack(|| {
            engine
                .stats
                .with(|stats| about.with(|about| stats.as_ref()?.report(about).ok()))
        });
        let Some(report) = report else { return };
        leptos::task::spawn_local(async move {
            if clipboard::copy(&report).await {
                set_by_hand.set(None);
                set_copied.set("The report is copied.");
            } else {
                set_by_hand.set(Some(report));
                set_copied.set("This browser doesn't let the page copy. The report is:");
            }
        });
    };
    view! {
        <section class="stats" aria-label="Measurements" data-testid="stats">
            <dl class="stats-facts">
                {move || {
                    facts
                        .get()
                        .unwrap_or_default()
                        .into_iter()
                        .map(|(name, text)| {
                            view! {
                                <div>
                                    <dt>{name}</dt>
                                    <dd>{text}</dd>
                                </div>
                            }
                        })
                        .collect_view()
                }}
            </dl>
            // Scrolls by itself, so the keyboard has to reach it.
            <div class="numbers" tabindex="0" role="region" aria-label="Time of each phase">
                <table data-testid="stats-table">
                    <thead>
                        <tr>
                            <th scope="col">"Phase"</th>
                            <th scope="col">"Runs"</th>
                            <th scope="col">"Last"</th>
                            <th scope="col">"Fastest"</th>
                            {move || {
                                has_counts
                                    .get()
                                    .then(|| {
                                        COUNT_HEADINGS
                                            .map(|heading| view! { <th scope="col">{heading}</th> })
                                            .collect_view()
                                    })
                            }}
                        </tr>
                    </thead>
                    <tbody>{move || lines.get().into_iter().map(row).collect_view()}</tbody>
                </table>
            </div>
            <div class="stats-copy">
                <button type="button" data-testid="copy-stats" on:click=copy>
                    "Copy as JSON"
                </button>
                <span class="help" role="status" data-testid="stats-status">
                    {copied}
                </span>
            </div>
            {move || {
                by_hand
                    .get()
                    .map(|report| {
                        view! {
                            <textarea
                                readonly
                                rows="8"
                                aria-label="Report"
                                prop:value=report
                            ></textarea>
                        }
                    })
            }}
        </section>
    }
}

fn row(line: Line) -> impl IntoView {
    view! {
        <tr data-phase=line.name.clone()>
            <th scope="row">{line.name.clone()}</th>
            <td>{line.runs}</td>
            <td>{line.last}</td>
            <td>{line.fastest}</td>
            {line.counts.map(|counts| counts.map(|count| view! { <td>{count}</td> }).collect_view())}
        </tr>
    }
}
