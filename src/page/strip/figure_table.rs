//! The numbers behind the curves.

use leptos::prelude::*;

use crate::view::rows::model_key;
use crate::view::strip::Curve;

/// A line per step of each strip.
#[component]
pub fn FigureTable(curves: Memo<[Option<Curve>; 2]>) -> impl IntoView {
    let lines = move || {
        curves.with(|curves| {
            let of_curve = |curve: &Curve| {
                let (name, steps) = (
                    format!("{}, seed {}", curve.row, curve.seed),
                    curve.distances.len(),
                );
                let lines = curve.points().enumerate();
                let lines = lines.map(|(index, (timestep, model, distance))| {
                    view! {
                        <tr>
                            <th scope="row">{name.clone()}</th>
                            <td>{format!("{} of {steps}", index + 1)}</td>
                            <td>{format!("{timestep:.0}")}</td>
                            <td>{model_key(model)}</td>
                            <td>{format!("{:.0} %", curve.share(index) * 100.0)}</td>
                            <td data-distance=distance.to_string()>{format!("{distance:.4}")}</td>
                        </tr>
                    }
                });
                lines.collect_view()
            };
            curves.iter().flatten().map(of_curve).collect_view()
        })
    };
    view! {
        // Scrolls by itself, so the keyboard has to reach it.
        <div class="numbers" tabindex="0" role="region" aria-label="Distance of each step">
            <table data-testid="figure-5-table">
                <thead>
                    <tr>
                        <th scope="col">"Strip"</th>
                        <th scope="col">"Step"</th>
                        <th scope="col">"Timestep"</th>
                        <th scope="col">"Model"</th>
                        <th scope="col">"Done"</th>
                        <th scope="col">"Distance"</th>
                    </tr>
                </thead>
                <tbody>{lines}</tbody>
            </table>
        </div>
    }
}
