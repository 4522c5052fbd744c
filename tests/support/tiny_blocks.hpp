// A tiny llama whose matrices are packed in blocks, as a GGUF file: blocks of drawn bits with scales that keep its numbers ordinary, so
// that every bit of a block counts. Written for a second engine to read, too. Threads: plain functions.
#pragma once

#include <string>
#include <vector>

namespace plimsoll::test {

// "q4_0", "q6_k", ...: those that the writer below knows.
std::vector<std::string> block_type_names();
// 256 channels, 2 layers, 4 heads over 2, 320 tokens; norms are float32. Throws std::runtime_error for a type that it does not know.
void write_block_gguf(const std::string& type, const std::string& path);

} // namespace plimsoll::test
