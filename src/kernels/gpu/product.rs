//! One launch of the matrix kernel: a layer's product, or that of two activations.

use burn::backend::wgpu::{CubeTensor, Wgpu};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use cubecl::prelude::*;

use super::buffers::{MAXIMUM_COUNT, columns_of, element, output, primitive, some, tensor};
use super::matmul::Rows;
use super::{choice, counts, matmul, registers, submits};
use crate::kernels::forms::Form;
use crate::kernels::layer::{Activation, After, BranchScale, Layer, LowRank};
use crate::kernels::matrix::{Matrix, WeightForm};

/// A weight on the device: `[columns of the output, depth]`.
#[derive(Clone)]
pub(super) struct Weight {
    words: CubeTensor,
    form: WeightForm,
    shape: [usize; 2],
}

impl Weight {
    pub fn of(matrix: &Matrix) -> Option<Self> {
        let (words, form) = matrix.words()?;
        Some(Self {
            words: words.clone().try_into_primitive::<Wgpu>().ok()?,
            form,
            shape: matrix.shape(),
        })
    }

    /// Activations as a weight.
    pub fn of_rows(rows: CubeTensor, shape: [usize; 2]) -> Self {
        let form = if rows.dtype == DType::F16 {
            WeightForm::F16
        } else {
            WeightForm::F32
        };
        Self {
            words: rows,
            form,
            shape,
        }
    }
}

/// One launch of the matrix kernel.
pub(super) struct Product<'a> {
    input: CubeTensor,
    /// Channels that come behind the input's, so that two maps need not be copied into one.
    pub second: Option<CubeTensor>,
    weight: Weight,
    bias: Option<CubeTensor>,
    branch: Option<(&'a LowRank, BranchScale)>,
    /// What of the input a row of the matrix is.
    pub rows: Rows,
    /// Height and width of the input.
    size: [usize; 2],
    /// Height and width of the output.
    pub output_size: [usize; 2],
    batch: usize,
    /// The vectors, and their first column.
    embedding: Option<(CubeTensor, usize)>,
    activation: Activation,
    residual: Option<CubeTensor>,
}

impl<'a> Product<'a> {
    /// A product with nothing before and after it.
    pub fn of(input: CubeTensor, weight: Weight, batch: usize, size: [usize; 2]) -> Self {
        Self {
            input,
            second: None,
            weight,
            bias: None,
            branch: None,
            rows: Rows::Same,
            size,
            output_size: size,
            batch,
            embedding: None,
            activation: Activation::Identity,
            residual: None,
        }
    }

    /// A layer's product with rows of the input; none where the kernel can't read its weight.
    pub fn new(
        input: CubeTensor,
        layer: &'a Layer,
        batch: usize,
        size: [usize; 2],
    ) -> Option<Self> {
        Some(Self {
            bias: layer.bias.clone().map(primitive),
            branch: layer.acting_branch(),
            ..Self::of(input, Weight::of(&layer.weight)?, batch, size)
        })
    }

    pub fn after<const D: usize>(mut self, after: After<D>) -> Self {
        self.embedding = after
            .embedding
            .map(|embedding| (primitive(embedding.vectors), embedding.first));
        self.activation = after.activation;
        self.residual = after.residual.map(primitive);
        self
    }

    fn output_rows(&self) -> usize {
        self.batch * self.output_size.iter().product::<usize>()
    }

    pub fn output_columns(&self) -> usize {
        let [columns, _] = self.weight.shape;
        if self.activation == Activation::Geglu {
            columns / 2
        } else {
            columns
        }
    }

    pub fn launch(self, shape: &[usize]) -> CubeTensor {
        let [columns, depth] = self.weight.shape;
        let form = self.weight.form;
        let rows = self.output_rows();
        let second_channels = self.second.as_ref().map_or(0, columns_of);
        let channels = match self.rows {
            Rows::Same => depth - second_channels,
            Rows::Patches { .. } => depth / 9,
        };
        let client = self.input.client.clone();
        let shared = client.properties().hardware.max_shared_memory_size;
        let kernel_form = match self.rows {
            Rows::Same => choice::forms().matmul,
            Rows::Patches { .. } => choice::forms().convolution,
        };
        let tile = choice::tile(kernel_form, shared, self.activation);
        let branch = self.branch.as_ref();
        let rank = branch.map_or(0, |(branch, _)| branch.up.shape()[1]);
        let branch = branch.and_then(|(branch, scale)| self.low(branch, scale));
        let (low, up, up_form, scale) = match branch {
            Some((low, up, scale)) => (Some(low), Some(up.words), Some(up.form), scale),
            None => (None, None, None, 1.0),
        };
        let program = matmul::Program {
            tile,
            weight: form,
            rows: self.rows,
            is_ragged: match self.rows {
                Rows::Same => false,
                Rows::Patches { .. } => channels % tile.depth != 0,
            },
            has_second: self.second.is_some(),
            has_bias: self.bias.is_some(),
            has_embedding: self.embedding.is_some(),
            has_residual: self.residual.is_some(),
            branch: up_form,
            activation: self.activation,
        };
        let sizes = matmul::SizesLaunch::new(
            rows as u32,
            columns as u32,
            depth as u32,
            channels as u32,
            self.size[0] as u32,
            self.size[1] as u32,
            self.output_size[0] as u32,
            self.output_size[1] as u32,
            form.words(columns * depth) as u32,
            rank as u32,
            scale,
            self.embedding
                .as_ref()
                .map_or(0, |(embedding, _)| columns_of(embedding)) as u32,
            self.embedding.as_ref().map_or(0, |(_, first)| *first) as u32,
        );
        let element = element(&self.input);
        let result = output(&self.input, shape);
        // More rows of workgroups than there may be in one direction go on in the third.
        let tiles = rows.div_ceil(tile.rows);
        let layers = tiles.div_ceil(MAXIMUM_COUNT);
        let count = CubeCount::Static(
            columns.div_ceil(tile.columns) as u32,
            tiles.div_ceil(layers) as u32,
            layers as u32,
        );
        let (words, up_words) = (
            matmul::words_at_once(form),
            matmul::words_at_once(up_form.unwrap_or(WeightForm::F32)),
        );
        let embedding = self.embedding.map(|(embedding, _)| embedding);
        let optional = [
            &self.second,
            &self.bias,
            &embedding,
            &self.residual,
            &low,
            &up,
        ];
        counts::note(
            match self.rows {
                Rows::Same => "matmul",
                Rows::Patches { .. } => "convolution",
            },
            [&self.input, &self.weight.words, &result]
                .into_iter()
                .chain(optional.into_iter().flatten()),
        );
        submits::before(&client, 2.0 * (rows * columns) as f64 * depth as f64);
        // Both forms take the same.
        macro_rules! launch {
            ($kernel:path, $threads:expr) => {
                unsafe {
                    $kernel(
                        &client,
                        count,
                        CubeDim::new_1d($threads as u32),
                        4,
                        words,
                        up_words,
                        self.input.into_buffer_arg(),
                        some(self.second),
                        self.weight.words.into_buffer_arg(),
                        some(self.bias),
                        some(embedding),
                        some(self.residual),
                        some(low),
                        some(up),
                        result.clone().into_buffer_arg(),
                        sizes,
                        program,
                        element,
                    );
                }
            };
        }
        match kernel_form {
            Form::Registers => launch!(registers::matmul::launch_unchecked, registers::THREADS),
            Form::Shared => launch!(matmul::matmul::launch_unchecked, tile.threads()),
        }
        result
    }

    /// What a branch's lower half makes of the input, its upper half, and what their product is
    /// multiplied by.
    fn low(&self, branch: &LowRank, scale: &BranchScale) -> Option<(CubeTensor, Weight, f32)> {
        let product = Product {
            second: self.second.clone(),
            rows: self.rows,
            output_size: self.output_size,
            ..Product::of(
                self.input.clone(),
                Weight::of(&branch.down)?,
                self.batch,
                self.size,
            )
        };
        let [_, rank] = branch.up.shape();
        let rows = self.output_rows();
        let up = Weight::of(&branch.up)?;
        let low = product.launch(&[rows, rank]);
        Some(match scale {
            BranchScale::Whole(scale) => (low, up, *scale),
            BranchScale::Ranks(scales) => (scaled(low, scales), up, 1.0),
        })
    }
}

/// Columns, each multiplied by a number of its own.
///
/// # Shapes
/// rows: `[rows, columns]`
fn scaled(rows: CubeTensor, scales: &[f32]) -> CubeTensor {
    let is_half = rows.dtype == DType::F16;
    let rows: Tensor<2> = tensor(rows);
    let data = TensorData::new(scales.to_vec(), [1, scales.len()]);
    let mut scales = Tensor::<2>::from_data(data, &rows.device());
    if is_half {
        scales = scales.cast(FloatDType::F16);
    }
    primitive(rows * scales)
}
