//! Reads a GGUF file into a [`Model`], tensor by tensor.
//!
//! Promises: a damaged, truncated or foreign file is a `WeightsInvalid` error that names the path,
//! never a panic and never a half-loaded model. Every tensor's place is checked against the file's
//! length before the first one is read. Weights are requantised to Q8_0 as they come in, so the
//! peak is the finished model plus one tensor.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{Content, Value};

use crate::error::LocalError;
use crate::matrix::QuantizedMatrix;
use crate::model::{Layer, Model, ModelShape};

/// Called while loading with bytes done and bytes in total.
pub(crate) type ProgressFn = dyn Fn(u64, u64) + Send + Sync;

/// More layers or a wider model than this is not a small model: the file is damaged.
const SIZE_MAX: u32 = 1 << 15;

/// Loads the model at `path`, calling `on_progress(done_bytes, total_bytes)` after each tensor.
pub(crate) fn load_model(path: &Path, on_progress: &ProgressFn) -> Result<Model, LocalError> {
    crate::weights::check_weights(path)?;
    let mut file = File::open(path).map_err(|error| LocalError::weights_unreadable(path, error))?;
    let header = read_header(path, &mut file)?;
    check_tensor_places(path, &file, &header)?;
    let total_bytes = header.tensor_infos.values().map(tensor_length_bytes).sum();
    let reader = TensorReader { path, file, header, on_progress, done_bytes: 0, total_bytes };
    guarded(path, || reader.into_model())
}

/// Reads names, sizes and the tokenizer, not the weights.
pub(crate) fn read_header(path: &Path, file: &mut File) -> Result<Content, LocalError> {
    let mut buffered = std::io::BufReader::with_capacity(1 << 20, file);
    guarded(path, || {
        Content::read(&mut buffered).map_err(|error| {
            LocalError::weights_invalid(path, "its header is damaged or cut short")
                .with_source(error)
        })
    })
}

/// The GGUF reader divides and multiplies numbers it finds in the file: a damaged one can make it
/// panic, which must end as an error like any other damage.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, LocalError>) -> Result<T, LocalError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(LocalError::weights_invalid(path, "it is damaged")))
}

fn tensor_length_bytes(info: &candle_core::quantized::gguf_file::TensorInfo) -> u64 {
    let element_count =
        info.shape.dims().iter().fold(1_usize, |product, size| product.saturating_mul(*size));
    let blocks = element_count / info.ggml_dtype.block_size();
    u64::try_from(blocks.saturating_mul(info.ggml_dtype.type_size())).unwrap_or(u64::MAX)
}

fn check_tensor_places(path: &Path, file: &File, header: &Content) -> Result<(), LocalError> {
    let length_bytes =
        file.metadata().map_err(|error| LocalError::weights_unreadable(path, error))?.len();
    let needed_bytes = header
        .tensor_infos
        .values()
        .map(|info| {
            header
                .tensor_data_offset
                .saturating_add(info.offset)
                .saturating_add(tensor_length_bytes(info))
        })
        .max()
        .unwrap_or(u64::MAX);
    if needed_bytes > length_bytes {
        return Err(LocalError::weights_invalid(
            path,
            &format!("it is cut short at {length_bytes} of {needed_bytes} bytes"),
        ));
    }
    Ok(())
}

struct TensorReader<'a> {
    path: &'a Path,
    file: File,
    header: Content,
    on_progress: &'a ProgressFn,
    done_bytes: u64,
    total_bytes: u64,
}

impl TensorReader<'_> {
    fn into_model(mut self) -> Result<Model, LocalError> {
        (self.on_progress)(0, self.total_bytes);
        let shape = self.shape()?;
        let token_embedding = self.matrix("token_embd.weight", None, shape.embedding_width)?;
        let output = match self.header.tensor_infos.contains_key("output.weight") {
            true => {
                let rows = Some(token_embedding.rows());
                Some(self.matrix("output.weight", rows, shape.embedding_width)?)
            }
            false => None,
        };
        let output_norm = self.vector("output_norm.weight", shape.embedding_width)?;
        let layers = (0..shape.layer_count)
            .map(|index| self.layer(index, &shape))
            .collect::<Result<Vec<_>, _>>()?;
        (self.on_progress)(self.total_bytes, self.total_bytes);
        Ok(Model { shape, token_embedding, layers, output_norm, output })
    }

    fn layer(&mut self, index: usize, shape: &ModelShape) -> Result<Layer, LocalError> {
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let (embedding, feed_forward) = (shape.embedding_width, shape.feed_forward_width);
        let kv_width = shape.kv_head_count * shape.head_width;
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm"), embedding)?,
            query: self.matrix(&name("attn_q"), Some(embedding), embedding)?,
            key: self.matrix(&name("attn_k"), Some(kv_width), embedding)?,
            value: self.matrix(&name("attn_v"), Some(kv_width), embedding)?,
            attention_output: self.matrix(&name("attn_output"), Some(embedding), embedding)?,
            feed_forward_norm: self.vector(&name("ffn_norm"), embedding)?,
            gate: self.matrix(&name("ffn_gate"), Some(feed_forward), embedding)?,
            up: self.matrix(&name("ffn_up"), Some(feed_forward), embedding)?,
            down: self.matrix(&name("ffn_down"), Some(embedding), feed_forward)?,
        })
    }

    fn shape(&self) -> Result<ModelShape, LocalError> {
        let architecture = self.value("general.architecture")?.to_string();
        if architecture.is_err() || architecture.is_ok_and(|name| name != "llama") {
            return Err(self.invalid("it is not a model of the llama architecture"));
        }
        let head_count = self.size("llama.attention.head_count")?;
        let kv_head_count = self.size("llama.attention.head_count_kv")?;
        let embedding_width = self.size("llama.embedding_length")?;
        let head_width = self.size("llama.rope.dimension_count")?;
        let widths_agree = head_count.is_multiple_of(kv_head_count)
            && head_count.saturating_mul(head_width) == embedding_width
            && head_width.is_multiple_of(2);
        if !widths_agree {
            return Err(self.invalid("its head sizes contradict each other"));
        }
        let rope_base = self.float("llama.rope.freq_base")?;
        let pair_count = u16::try_from(head_width / 2)
            .map_err(|error| self.invalid("its heads are too wide").with_source(error))?;
        let rope_frequencies = (0..pair_count)
            .map(|pair| rope_base.powf(-f32::from(pair) / f32::from(pair_count)))
            .collect();
        Ok(ModelShape {
            layer_count: self.size("llama.block_count")?,
            embedding_width,
            feed_forward_width: self.size("llama.feed_forward_length")?,
            head_count,
            kv_head_count,
            head_width,
            window_tokens: self.size("llama.context_length")?,
            norm_epsilon: self.float("llama.attention.layer_norm_rms_epsilon")?,
            rope_frequencies,
        })
    }

    fn matrix(
        &mut self,
        name: &str,
        rows: Option<usize>,
        columns: usize,
    ) -> Result<QuantizedMatrix, LocalError> {
        let tensor = self.tensor(name)?;
        let matrix = QuantizedMatrix::from_tensor(&tensor)
            .map_err(|error| self.invalid(&format!("tensor {name}")).with_source(error))?;
        if matrix.columns() != columns || rows.is_some_and(|rows| rows != matrix.rows()) {
            return Err(self.invalid(&format!("tensor {name} has another size than announced")));
        }
        Ok(matrix)
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LocalError> {
        let values = self
            .tensor(name)?
            .dequantize(&Device::Cpu)
            .and_then(|tensor| tensor.to_vec1::<f32>())
            .map_err(|error| self.invalid(&format!("tensor {name}")).with_source(error))?;
        if values.len() != length {
            return Err(self.invalid(&format!("tensor {name} has another size than announced")));
        }
        Ok(values)
    }

    fn tensor(&mut self, name: &str) -> Result<QTensor, LocalError> {
        let invalid = |error| {
            LocalError::weights_invalid(self.path, &format!("tensor {name} cannot be read"))
                .with_source(error)
        };
        let tensor = self.header.tensor(&mut self.file, name, &Device::Cpu).map_err(invalid)?;
        let read_bytes = u64::try_from(tensor.storage_size_in_bytes()).unwrap_or(u64::MAX);
        self.done_bytes = self.done_bytes.saturating_add(read_bytes);
        (self.on_progress)(self.done_bytes.min(self.total_bytes), self.total_bytes);
        Ok(tensor)
    }

    fn value(&self, key: &str) -> Result<&Value, LocalError> {
        let value = self.header.metadata.get(key);
        value.ok_or_else(|| self.invalid(&format!("it does not state {key}")))
    }

    fn size(&self, key: &str) -> Result<usize, LocalError> {
        let size = self.value(key)?.to_u32().ok().filter(|size| (1..=SIZE_MAX).contains(size));
        size.and_then(|size| usize::try_from(size).ok())
            .ok_or_else(|| self.invalid(&format!("its {key} is out of range")))
    }

    fn float(&self, key: &str) -> Result<f32, LocalError> {
        let value = self.value(key)?.to_f32().ok().filter(|value| *value > 0.0);
        value.ok_or_else(|| self.invalid(&format!("its {key} is out of range")))
    }

    fn invalid(&self, finding: &str) -> LocalError {
        LocalError::weights_invalid(self.path, finding)
    }
}
