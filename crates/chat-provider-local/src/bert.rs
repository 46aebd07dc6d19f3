//! The embedding network: a BERT encoder in plain floats, its vectors pooled and of length 1.
//!
//! Promises: [`Bert::embed`] reads the weights and writes nothing. Several texts share the matrix
//! products without a token of padding: their rows lie one after the other, and only attention
//! looks at each text alone. A text's vector does not depend on its neighbours.
//! Not here: pieces of words (`word_pieces`), threads and the port (`embedder`).

use candle_core::{Device, Tensor};

use crate::arithmetic::{add, float, gelu, softmax};
use crate::error::LocalError;
use crate::safetensors::TensorFile;
use crate::word_pieces::WINDOW_TOKENS;

/// The sizes of all-MiniLM-L6-v2.
const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD_WIDTH: usize = 32;
/// Numbers per vector.
pub(crate) const WIDTH: usize = HEADS * HEAD_WIDTH;
const INNER_WIDTH: usize = 4 * WIDTH;
const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const TOKEN_TYPES: usize = 2;
const NORM_EPSILON: f32 = 1e-12;

/// Rows of one matrix product: enough to use each weight read from memory many times, few enough
/// that a layer's values stay in the cache.
const ROWS_MAX: usize = 2 * WINDOW_TOKENS;

struct Linear {
    /// inputs × outputs.
    weight: Tensor,
    bias: Vec<f32>,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Layer {
    /// Query, key and value side by side: one product instead of three.
    attention: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    inner: Linear,
    output: Linear,
    output_norm: Norm,
}

/// The loaded network.
pub(crate) struct Bert {
    words: Vec<f32>,
    /// Position and token type together: all texts are of the first type.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Bert {
    pub(crate) fn load(file: &mut TensorFile) -> Result<Self, LocalError> {
        let words = file.floats("embeddings.word_embeddings.weight", &[VOCABULARY, WIDTH])?;
        let mut positions =
            file.floats("embeddings.position_embeddings.weight", &[POSITIONS, WIDTH])?;
        let types =
            file.floats("embeddings.token_type_embeddings.weight", &[TOKEN_TYPES, WIDTH])?;
        for row in positions.chunks_exact_mut(WIDTH) {
            add(row, types.get(..WIDTH).unwrap_or_default());
        }
        let norm = load_norm(file, "embeddings.LayerNorm")?;
        let layers = (0..LAYERS).map(|layer| load_layer(file, layer)).collect::<Result<_, _>>()?;
        Ok(Self { words, positions, norm, layers })
    }

    /// One vector of length 1 per text, given as the ids that the model is fed.
    pub(crate) fn embed(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, LocalError> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while !rest.is_empty() {
            let mut rows = 0_usize;
            let fitting = rest.iter().take_while(|text| {
                rows = rows.saturating_add(text.len());
                rows <= ROWS_MAX
            });
            let (batch, after) = rest.split_at(fitting.count().clamp(1, rest.len()));
            vectors.extend(self.embed_batch(batch)?);
            rest = after;
        }
        Ok(vectors)
    }

    fn embed_batch(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, LocalError> {
        let mut states = Vec::new();
        for text in texts {
            self.push_text(text, &mut states)?;
        }
        normalize_rows(&mut states, &self.norm);
        for layer in &self.layers {
            let attended = attend(&layer.attention.apply(&states)?, texts)?;
            add(&mut states, &layer.attention_output.apply(&attended)?);
            normalize_rows(&mut states, &layer.attention_norm);

            let mut inner = layer.inner.apply(&states)?;
            for value in &mut inner {
                *value = gelu(*value);
            }
            add(&mut states, &layer.output.apply(&inner)?);
            normalize_rows(&mut states, &layer.output_norm);
        }
        let mut rows = states.chunks_exact(WIDTH);
        Ok(texts.iter().map(|text| pool(rows.by_ref().take(text.len()))).collect())
    }

    fn push_text(&self, text: &[u32], states: &mut Vec<f32>) -> Result<(), LocalError> {
        for (id, position) in text.iter().zip(self.positions.chunks_exact(WIDTH)) {
            let row = usize::try_from(*id)
                .ok()
                .and_then(|id| self.words.chunks_exact(WIDTH).nth(id))
                .ok_or_else(|| LocalError::inference("a token is not in the vocabulary"))?;
            states.extend(row.iter().zip(position).map(|(word, position)| word + position));
        }
        Ok(())
    }
}

fn load_layer(file: &mut TensorFile, layer: usize) -> Result<Layer, LocalError> {
    let name = |part: &str| format!("encoder.layer.{layer}.{part}");
    let mut weight = Vec::new();
    let mut bias = Vec::new();
    for part in ["query", "key", "value"] {
        let part = name(&format!("attention.self.{part}"));
        weight.extend(file.floats(&format!("{part}.weight"), &[WIDTH, WIDTH])?);
        bias.extend(file.floats(&format!("{part}.bias"), &[WIDTH])?);
    }
    Ok(Layer {
        attention: Linear::new(weight, bias, WIDTH)?,
        attention_output: load_linear(file, &name("attention.output.dense"), WIDTH, WIDTH)?,
        attention_norm: load_norm(file, &name("attention.output.LayerNorm"))?,
        inner: load_linear(file, &name("intermediate.dense"), WIDTH, INNER_WIDTH)?,
        output: load_linear(file, &name("output.dense"), INNER_WIDTH, WIDTH)?,
        output_norm: load_norm(file, &name("output.LayerNorm"))?,
    })
}

fn load_linear(
    file: &mut TensorFile,
    name: &str,
    inputs: usize,
    outputs: usize,
) -> Result<Linear, LocalError> {
    let weight = file.floats(&format!("{name}.weight"), &[outputs, inputs])?;
    let bias = file.floats(&format!("{name}.bias"), &[outputs])?;
    Linear::new(weight, bias, inputs)
}

fn load_norm(file: &mut TensorFile, name: &str) -> Result<Norm, LocalError> {
    Ok(Norm {
        weight: file.floats(&format!("{name}.weight"), &[WIDTH])?,
        bias: file.floats(&format!("{name}.bias"), &[WIDTH])?,
    })
}

impl Linear {
    /// `weight` is outputs × inputs, as files have it.
    fn new(weight: Vec<f32>, bias: Vec<f32>, inputs: usize) -> Result<Self, LocalError> {
        let weight = Tensor::from_vec(weight, (bias.len(), inputs), &Device::Cpu)
            .and_then(|weight| weight.t()?.contiguous())
            .map_err(failed)?;
        Ok(Self { weight, bias })
    }

    fn apply(&self, rows: &[f32]) -> Result<Vec<f32>, LocalError> {
        let inputs = self.weight.dim(0).map_err(failed)?;
        let mut outputs = Tensor::from_slice(rows, (rows.len() / inputs, inputs), &Device::Cpu)
            .and_then(|rows| rows.matmul(&self.weight)?.flatten_all()?.to_vec1::<f32>())
            .map_err(failed)?;
        for row in outputs.chunks_exact_mut(self.bias.len()) {
            add(row, &self.bias);
        }
        Ok(outputs)
    }
}

/// Attention of each text within itself; `rows` have query, key and value side by side.
fn attend(rows: &[f32], texts: &[Vec<u32>]) -> Result<Vec<f32>, LocalError> {
    let mut outputs = Vec::with_capacity(rows.len() / 3);
    let mut rest = rows;
    for text in texts {
        let (own, after) = rest.split_at(rest.len().min(text.len() * 3 * WIDTH));
        rest = after;
        outputs.extend(attend_text(own, text.len()).map_err(failed)?);
    }
    Ok(outputs)
}

fn attend_text(rows: &[f32], length: usize) -> candle_core::Result<Vec<f32>> {
    let rows = Tensor::from_slice(rows, (length, 3, HEADS, HEAD_WIDTH), &Device::Cpu)?;
    // part × head × row × width
    let parts = rows.permute((1, 2, 0, 3))?.contiguous()?;
    let (query, key, value) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
    let mut scores = query.matmul(&key.t()?)?.flatten_all()?.to_vec1::<f32>()?;
    let scale = 1.0 / float(HEAD_WIDTH).sqrt();
    for row in scores.chunks_exact_mut(length) {
        for score in row.iter_mut() {
            *score *= scale;
        }
        softmax(row);
    }
    let shares = Tensor::from_vec(scores, (HEADS, length, length), &Device::Cpu)?;
    shares.matmul(&value)?.permute((1, 0, 2))?.contiguous()?.flatten_all()?.to_vec1::<f32>()
}

/// Brings each row to mean 0 and variance 1, then scales and shifts it.
fn normalize_rows(states: &mut [f32], norm: &Norm) {
    for row in states.chunks_exact_mut(WIDTH) {
        let mean = row.iter().sum::<f32>() / float(WIDTH);
        let variance = row.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>();
        let scale = 1.0 / (variance / float(WIDTH) + NORM_EPSILON).sqrt();
        let weights = norm.weight.iter().zip(&norm.bias);
        for (value, (weight, bias)) in row.iter_mut().zip(weights) {
            *value = (*value - mean) * scale * weight + bias;
        }
    }
}

/// The mean of a text's rows, at length 1.
fn pool<'r>(rows: impl Iterator<Item = &'r [f32]>) -> Vec<f32> {
    let mut sum = vec![0.0; WIDTH];
    for row in rows {
        add(&mut sum, row);
    }
    // The direction of the sum is that of the mean.
    chat_rag::normalize(&mut sum);
    sum
}

fn failed(error: candle_core::Error) -> LocalError {
    LocalError::inference("a matrix product was not computed").with_source(error)
}
