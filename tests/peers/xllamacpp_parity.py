"""Compares the embedded model with llama.cpp's own server on the same weights.

Usage: PYTHON xllamacpp_parity.py MODEL.gguf TOKENS_PROGRAM

PYTHON must have the package xllamacpp (2026.10.11549). TOKENS_PROGRAM is the built example `tokens`
of chat-provider-local. For each prompt the whole rendered chat must become the same token ids as
the server's /tokenize, and the first greedy token must be the server's in at least FIRST_EQUAL_MIN.

Prints "N equal, M first tokens equal" and exits 1 below the bar, 2 when a part is missing.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

FIRST_EQUAL_MIN = 18
END_MARK_ID = 2
START_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 120

SERVER = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port = int(sys.argv[2])
params.n_ctx = 4096
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.n_gpu_layers = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""

CONVERSATIONS = [
    [["user", "What is the capital of France? Answer in one sentence."]],
    [["user", "hi"]],
    [["user", " leading and trailing spaces  "]],
    [["user", "In 2026, 1234567890 people ate 3.14159 pies; 50% paid $12.50."]],
    [["user", "Grüße aus Köln, ça va? Ærøskøbing, İstanbul, naïve café"]],
    [["user", "日本語で自己紹介してください。"]],
    [["user", "Расскажи мне сказку о рыбаке и рыбке"]],
    [["user", "🎉🚀 Emoji party 👩‍👩‍👧‍👦 with skin tones 👍🏽 and flags 🇫🇷"]],
    [["user", "fn main() {\n    let x: u32 = 0xFF;\n\tprintln!(\"{x:?}\");\n}"]],
    [["user", "def f(a, b=10):\n    return [a**2 for _ in range(b)]  # list\n\n\nprint(f(3))"]],
    [["user", '{"key": [1, 2.5e-3, null, true], "nested": {"a\\n": "\\u00e9"}}']],
    [["user", "SELECT id, COUNT(*) FROM t WHERE a >= 10 AND b <> 'x''y' GROUP BY 1;"]],
    [["user", "I'm sure they'll've said it's John's; don't WE'RE you'd"]],
    [["user", "line one\r\nline two\n\n\n   indented\ttabbed \n \n end"]],
    [["user", "مرحبا بالعالم، كيف حالك؟ שלום עולם"]],
    [["user", "x" * 300 + " " * 40 + "=" * 80]],
    [["user", "e\u0301 combining, zero\u200bwidth, nbsp\u00a0here, ½ ² Ⅷ ٣٤ x₂"]],
    [["system", "You translate to French."], ["user", "Good morning, my friend."]],
    [
        ["system", "You are a terse assistant."],
        ["user", "Name three primary colours."],
        ["assistant", "Red, yellow, blue."],
        ["user", "Which of them is the sky's?"],
    ],
    [
        ["user", "Give me a title for a chat about cooking pasta."],
        ["assistant", "Pasta 101: from pot to plate\n"],
        ["user", "Shorter, please. At most 3 words."],
        ["assistant", ""],
        ["user", "Well?"],
    ],
]


def post(base_url, path, body):
    request = urllib.request.Request(
        base_url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
        return json.load(answer)


def wait_until_ready(base_url, server):
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(base_url + "/health", timeout=5):
                return True
        except OSError:
            time.sleep(0.1)
    return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def compare(base_url, model, tokens_program):
    requests = "".join(json.dumps({"lines": lines}) + "\n" for lines in CONVERSATIONS)
    ours = subprocess.run(
        [tokens_program, model], input=requests, stdout=subprocess.PIPE, text=True, check=True
    )
    results = [json.loads(line) for line in ours.stdout.splitlines()]
    if len(results) != len(CONVERSATIONS):
        print(f"{len(results)} answers to {len(CONVERSATIONS)} prompts", file=sys.stderr)
        return False
    equal = first_equal = 0
    for result in results:
        prompt = result["prompt"]
        theirs = post(base_url, "/tokenize", {"content": prompt, "parse_special": True})["tokens"]
        if theirs == result["token_ids"]:
            equal += 1
        else:
            print(f"ids differ: {prompt!r}\n  server {theirs}\n  ours   {result['token_ids']}")
        # Token ids as the prompt, so that this compares the networks and not the tokenizers twice.
        answer = post(
            base_url,
            "/completion",
            {
                "prompt": theirs,
                "n_predict": 1,
                "temperature": 0,
                "cache_prompt": False,
                "return_tokens": True,
            },
        )
        # The server does not report an end mark: no token there is the end mark here.
        first = answer["tokens"][0] if answer["tokens"] else END_MARK_ID
        if first == result["first_token_id"]:
            first_equal += 1
        else:
            print(
                f"first token differs: {prompt!r}\n  server {first} {answer['content']!r}, "
                f"ours {result['first_token_id']}"
            )
    print(f"{equal} equal, {first_equal} first tokens equal of {len(CONVERSATIONS)}")
    return equal == len(CONVERSATIONS) and first_equal >= FIRST_EQUAL_MIN


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    _, model, tokens_program = sys.argv
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, model, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if not wait_until_ready(base_url, server):
            print("the server did not start; is the package xllamacpp there?", file=sys.stderr)
            return 2
        return 0 if compare(base_url, model, tokens_program) else 1
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
