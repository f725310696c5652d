//! ComfyUI's pictures: a graph of nodes, once as it was run (`prompt`) and once as it was edited
//! (`workflow`). Both become a [`Graph`](graph::Graph), of which the settings are read.

pub mod graph;
mod reading;
#[cfg(test)]
mod tests;
mod workflow;

pub use reading::read;
pub use workflow::graph_of_workflow;
