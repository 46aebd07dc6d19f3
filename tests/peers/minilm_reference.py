"""Vectors of all-MiniLM-L6-v2, computed apart from our code: NumPy in double precision over the same weights,
and a tokenizer written here. Its output is crates/chat-provider-local/tests/fixtures/minilm.json.

    pip install numpy
    python3 tests/peers/minilm_reference.py WEIGHTS.safetensors TOKENIZER.json > minilm.json
"""

import json
import math
import struct
import sys
import unicodedata

import numpy as np

TEXTS = [
    "The kettle is descaled with vinegar.",
    "How do I get the lime out of my kettle?",
    "",
    "El rápido zorro marrón salta; 東京都では電気ケトルを酢で洗浄します 😀",
    "[CLS] marks [SEP] are text [MASK]",
    "fn main() { println!(\"{:?}\", vec![1, 2, 3]); }\n// comment_with_underscores",
    "donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft " + "x" * 120,
    "Cut at the end of the window. " * 80,
]
WINDOW, HEADS, LAYERS = 256, 12, 6


def read_weights(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        table = json.loads(file.read(size))
        data = file.read()
    tensors = {}
    for name, place in table.items():
        if name != "__metadata__" and place["dtype"] == "F32":
            first, end = place["data_offsets"]
            tensors[name] = np.frombuffer(data[first:end], "<f4").astype(np.float64).reshape(place["shape"])
    return tensors


def is_punctuation(char):
    code = ord(char)
    ascii_punctuation = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_punctuation or unicodedata.category(char).startswith("P")


def is_chinese(char):
    code = ord(char)
    ranges = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
              (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]
    return any(first <= code <= last for first, last in ranges)


def words_of(text):
    spaced = []
    for char in text:
        if unicodedata.category(char).startswith("C") and char not in "\t\n\r":
            continue
        spaced.append(f" {char} " if is_chinese(char) else char)
    folded = unicodedata.normalize("NFD", "".join(spaced).lower())
    folded = "".join(char for char in folded if unicodedata.category(char) != "Mn")
    for run in folded.split():
        word = ""
        for char in run:
            if is_punctuation(char):
                if word:
                    yield word
                yield char
                word = ""
            else:
                word += char
        if word:
            yield word


def pieces_of(word, vocabulary):
    if len(word) > 100:
        return [vocabulary["[UNK]"]]
    pieces, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                break
        else:
            return [vocabulary["[UNK]"]]
        pieces.append(vocabulary[piece])
        start = end
    return pieces


def encode(text, vocabulary):
    ids = [piece for word in words_of(text) for piece in pieces_of(word, vocabulary)]
    return [vocabulary["[CLS]"], *ids[: WINDOW - 2], vocabulary["[SEP]"]]


ERF = np.vectorize(math.erf)


def embed(ids, w):
    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * w[name + ".weight"] + w[name + ".bias"]

    def linear(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        q, k, v = (linear(x, at + "attention.self." + part).reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
                   for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
        inner = linear(x, at + "intermediate.dense")
        inner = inner * 0.5 * (1 + ERF(inner / math.sqrt(2)))
        x = norm(x + linear(inner, at + "output.dense"), at + "output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def main():
    weights = read_weights(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        vocabulary = json.load(file)["model"]["vocab"]
    rows = []
    for text in TEXTS:
        ids = encode(text, vocabulary)
        vector = [round(float(value), 6) for value in embed(ids, weights)]
        rows.append({"text": text, "tokens": len(ids), "vector": vector})
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")


main()
