"""llama.cpp's own HTTP server on one model: a server that nobody here wrote.

Usage: PYTHON xllamacpp_server.py MODEL.gguf PORT

PYTHON must have the package xllamacpp (2026.10.11549). Prints the address when it listens (the model may
still be loading: GET /health answers 503 until it is ready) and ends when its stdin is closed.
"""

import os
import sys

import xllamacpp

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
# The server's threads take seconds to end by themselves.
os._exit(0)
