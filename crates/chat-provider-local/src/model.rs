//! The network itself: a Llama-shaped decoder over quantised matrices, one thread, no shared state.
//!
//! Promises: [`Model::forward`] reads the weights and writes only the cache it is given, so a fresh
//! [`KvCache`] is a fresh conversation and nothing leaks from one call into the next. Positions run
//! to the model's whole window.
//! Not here: reading the file (`load`), choosing a token (`sampler`), the loop (`engine`).

use candle_core::quantized::k_quants::BlockQ8_0;

use crate::arithmetic::{add, dot, exponential, float, softmax};
use crate::error::LocalError;
use crate::matrix::{QuantizedMatrix, quantize};

/// The sizes and constants of a model, as its file states them.
#[derive(Debug, Clone)]
pub(crate) struct ModelShape {
    pub(crate) layer_count: usize,
    pub(crate) embedding_width: usize,
    pub(crate) feed_forward_width: usize,
    pub(crate) head_count: usize,
    pub(crate) kv_head_count: usize,
    pub(crate) head_width: usize,
    /// Tokens of prompt and answer together.
    pub(crate) window_tokens: usize,
    pub(crate) norm_epsilon: f32,
    /// Angle per position of each pair of a head, `head_width / 2` of them.
    pub(crate) rope_frequencies: Vec<f32>,
}

/// One transformer layer.
pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    pub(crate) query: QuantizedMatrix,
    pub(crate) key: QuantizedMatrix,
    pub(crate) value: QuantizedMatrix,
    pub(crate) attention_output: QuantizedMatrix,
    pub(crate) feed_forward_norm: Vec<f32>,
    pub(crate) gate: QuantizedMatrix,
    pub(crate) up: QuantizedMatrix,
    pub(crate) down: QuantizedMatrix,
}

/// A loaded model; immutable and shareable.
pub(crate) struct Model {
    pub(crate) shape: ModelShape,
    pub(crate) token_embedding: QuantizedMatrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Vec<f32>,
    /// `None`: the token embedding is also the output matrix.
    pub(crate) output: Option<QuantizedMatrix>,
}

/// Keys and values of the positions seen so far, per layer and key-value head.
///
/// It grows as it is fed: about 45 KiB a token for SmolLM2-135M, 360 MiB for a full window.
pub(crate) struct KvCache {
    layers: Vec<Vec<HeadCache>>,
    position_count: usize,
}

#[derive(Clone, Default)]
struct HeadCache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KvCache {
    /// How many tokens were fed.
    pub(crate) fn position_count(&self) -> usize {
        self.position_count
    }
}

impl Model {
    /// An empty cache for one generation.
    pub(crate) fn new_cache(&self) -> KvCache {
        let heads = vec![HeadCache::default(); self.shape.kv_head_count];
        KvCache { layers: vec![heads; self.shape.layer_count], position_count: 0 }
    }

    /// Feeds `token_ids` after what `cache` holds and returns the scores of the next token, one per
    /// vocabulary entry.
    ///
    /// # Errors
    /// `Inference` for no tokens, an id outside the vocabulary or a position outside the window.
    pub(crate) fn forward(
        &self,
        cache: &mut KvCache,
        token_ids: &[u32],
    ) -> Result<Vec<f32>, LocalError> {
        let first_position = cache.position_count;
        let end_position = first_position.saturating_add(token_ids.len());
        if token_ids.is_empty() || end_position > self.shape.window_tokens {
            return Err(LocalError::inference("positions outside the window were asked for"));
        }
        let rotations = self.rotations(first_position, end_position)?;
        let mut states = self.embed(token_ids)?;
        for (layer, heads) in self.layers.iter().zip(cache.layers.iter_mut()) {
            let inputs = self.normalize(&states, &layer.attention_norm);
            let attended = self.attend(layer, heads, &inputs, first_position, &rotations);
            add(&mut states, &layer.attention_output.multiply(&quantize(&attended)));

            let inputs = self.normalize(&states, &layer.feed_forward_norm);
            let mut gates = layer.gate.multiply(&inputs);
            for (gate, up) in gates.iter_mut().zip(layer.up.multiply(&inputs)) {
                *gate = *gate / (1.0 + exponential(-*gate)) * up;
            }
            add(&mut states, &layer.down.multiply(&quantize(&gates)));
        }
        cache.position_count = end_position;
        let last = states.chunks_exact(self.shape.embedding_width).next_back().unwrap_or_default();
        let output = self.output.as_ref().unwrap_or(&self.token_embedding);
        Ok(output.multiply(&self.normalize(last, &self.output_norm)))
    }

    fn embed(&self, token_ids: &[u32]) -> Result<Vec<f32>, LocalError> {
        let mut states = Vec::with_capacity(token_ids.len() * self.shape.embedding_width);
        for token_id in token_ids {
            let row = usize::try_from(*token_id)
                .ok()
                .and_then(|index| self.token_embedding.row_values(index))
                .ok_or_else(|| LocalError::inference("a token is not in the vocabulary"))?;
            states.extend(row);
        }
        Ok(states)
    }

    /// RMS-normalises each row of `states`, ready for a matrix.
    fn normalize(&self, states: &[f32], weights: &[f32]) -> Vec<BlockQ8_0> {
        let mut normalized = Vec::with_capacity(states.len());
        for row in states.chunks_exact(self.shape.embedding_width) {
            let mean_square = dot(row, row) / float(self.shape.embedding_width);
            let scale = 1.0 / (mean_square + self.shape.norm_epsilon).sqrt();
            normalized
                .extend(row.iter().zip(weights).map(|(value, weight)| value * scale * weight));
        }
        quantize(&normalized)
    }

    /// Causal attention with grouped key-value heads; appends the new keys and values to `heads`.
    fn attend(
        &self,
        layer: &Layer,
        heads: &mut [HeadCache],
        inputs: &[BlockQ8_0],
        first_position: usize,
        rotations: &[Vec<(f32, f32)>],
    ) -> Vec<f32> {
        let head_width = self.shape.head_width;
        let group_width = head_width * (self.shape.head_count / self.shape.kv_head_count);
        let kv_width = head_width * self.shape.kv_head_count;
        let mut queries = layer.query.multiply(inputs);
        let mut keys = layer.key.multiply(inputs);
        let values = layer.value.multiply(inputs);
        rotate(&mut queries, self.shape.embedding_width, head_width, rotations);
        rotate(&mut keys, kv_width, head_width, rotations);
        let new_rows = keys.chunks_exact(kv_width).zip(values.chunks_exact(kv_width));
        for (key_row, value_row) in new_rows {
            let parts = key_row.chunks_exact(head_width).zip(value_row.chunks_exact(head_width));
            for (head, (key, value)) in heads.iter_mut().zip(parts) {
                head.keys.extend_from_slice(key);
                head.values.extend_from_slice(value);
            }
        }

        let scale = 1.0 / float(head_width).sqrt();
        let mut outputs = vec![0.0; queries.len()];
        let mut scores = Vec::with_capacity(first_position + rotations.len());
        let rows = queries.chunks_exact(self.shape.embedding_width);
        let output_rows = outputs.chunks_exact_mut(self.shape.embedding_width);
        for (offset, (query_row, output_row)) in rows.zip(output_rows).enumerate() {
            let visible = first_position + offset + 1;
            let groups = query_row.chunks_exact(group_width);
            let output_groups = output_row.chunks_exact_mut(group_width);
            for ((head, query_group), output_group) in heads.iter().zip(groups).zip(output_groups) {
                let query_heads = query_group.chunks_exact(head_width);
                let output_heads = output_group.chunks_exact_mut(head_width);
                for (query, output) in query_heads.zip(output_heads) {
                    scores.clear();
                    let visible_keys = head.keys.chunks_exact(head_width).take(visible);
                    scores.extend(visible_keys.map(|key| dot(query, key) * scale));
                    softmax(&mut scores);
                    for (score, value) in scores.iter().zip(head.values.chunks_exact(head_width)) {
                        for (target, value) in output.iter_mut().zip(value) {
                            *target += score * value;
                        }
                    }
                }
            }
        }
        outputs
    }

    /// Cosine and sine of each pair of a head, for each position.
    fn rotations(&self, first: usize, end: usize) -> Result<Vec<Vec<(f32, f32)>>, LocalError> {
        (first..end)
            .map(|position| {
                let position = u16::try_from(position)
                    .map(f32::from)
                    .map_err(|error| LocalError::inference("window").with_source(error))?;
                let angles = self.shape.rope_frequencies.iter().map(|rate| position * rate);
                Ok(angles.map(|angle| (angle.cos(), angle.sin())).collect())
            })
            .collect()
    }
}

/// Turns each neighbouring pair of each head by its position's angles.
fn rotate(rows: &mut [f32], row_width: usize, head_width: usize, rotations: &[Vec<(f32, f32)>]) {
    for (row, rotation) in rows.chunks_exact_mut(row_width).zip(rotations) {
        for head in row.chunks_exact_mut(head_width) {
            for (pair, (cosine, sine)) in head.as_chunks_mut::<2>().0.iter_mut().zip(rotation) {
                let [left, right] = *pair;
                *pair = [left * cosine - right * sine, left * sine + right * cosine];
            }
        }
    }
}
