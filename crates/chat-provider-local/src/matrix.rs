//! A weight matrix in Q8_0 blocks and its product with quantised rows, on the calling thread.
//!
//! candle's own matrix product spreads over a process-wide pool whose workers spin at a barrier:
//! on a busy machine that makes generation several times slower, and only environment variables
//! tame it. Its dot product of blocks is public and picks the processor's best instructions at run
//! time, so the loop around it lives here: one thread, no pool, nothing to configure.

use candle_core::quantized::k_quants::BlockQ8_0;
use candle_core::quantized::{GgmlType, QTensor};
use candle_core::{Device, Result, bail};

/// `rows` × `columns` weights; a row is one output.
pub(crate) struct QuantizedMatrix {
    columns: usize,
    blocks_per_row: usize,
    rows: usize,
    blocks: Vec<BlockQ8_0>,
}

impl QuantizedMatrix {
    /// Requantises `tensor` (any GGUF type) to Q8_0: there is no fast dot product for Q4_1.
    ///
    /// Larger blocks (Q8_K) are a third faster but round enough to change first tokens.
    pub(crate) fn from_tensor(tensor: &QTensor) -> Result<Self> {
        let (rows, columns) = tensor.shape().dims2()?;
        if rows == 0 || columns == 0 || !columns.is_multiple_of(BlockQ8_0::BLCK_SIZE) {
            bail!("a matrix of {rows} x {columns} cannot be held in blocks");
        }
        let values = tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
        let blocks_per_row = columns / BlockQ8_0::BLCK_SIZE;
        Ok(Self { columns, blocks_per_row, rows, blocks: quantize(&values) })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Row `index` as floats, or `None` beyond the end.
    pub(crate) fn row_values(&self, index: usize) -> Option<Vec<f32>> {
        let row = self.blocks.chunks_exact(self.blocks_per_row).nth(index)?;
        let mut values = vec![0.0; self.columns];
        BlockQ8_0::to_float(row, &mut values);
        Some(values)
    }

    /// The product with each of the quantised `inputs` rows: one output row of `self.rows()` each.
    ///
    /// Four weight rows at a time stay in the first-level cache while all inputs pass over them.
    pub(crate) fn multiply(&self, inputs: &[BlockQ8_0]) -> Vec<f32> {
        let input_count = inputs.len() / self.blocks_per_row;
        let mut outputs = vec![0.0; input_count * self.rows];
        let columns = self.columns;
        for (group, weights) in self.blocks.chunks(4 * self.blocks_per_row).enumerate() {
            let first_row = 4 * group;
            let input_rows = inputs.chunks_exact(self.blocks_per_row);
            for (input, output) in input_rows.zip(outputs.chunks_exact_mut(self.rows)) {
                let targets = output.iter_mut().skip(first_row);
                let rows = weights.chunks_exact(self.blocks_per_row);
                for (target, row) in targets.zip(rows) {
                    *target = BlockQ8_0::vec_dot(columns, row, input);
                }
            }
        }
        outputs
    }
}

/// Quantises rows of floats whose length is a multiple of the block size.
pub(crate) fn quantize(values: &[f32]) -> Vec<BlockQ8_0> {
    let mut blocks = vec![BlockQ8_0::zeros(); values.len() / BlockQ8_0::BLCK_SIZE];
    BlockQ8_0::from_float(values, &mut blocks);
    blocks
}
