// Small GGUF files, one of each architecture that llama.cpp loads (tests/data/gguf_architectures.jsonl). Used by the tests of this folder.
// One thread.
#pragma once

#include <fstream>
#include <ostream>
#include <sstream>

#include "unit/weights/checkpoints.hpp"

namespace plimsoll::testing {

struct GgufCase {
  Json file;
  std::uint64_t bytes(const char* key) const { return file[key].get<std::uint64_t>(); }
  std::string text(const char* key) const { return file[key].get<std::string>(); }
};
inline void PrintTo(const GgufCase& c, std::ostream* out) { *out << c.text("id"); }

inline std::vector<GgufCase> gguf_cases() {
  std::vector<GgufCase> out;
  std::ifstream file(PLIMSOLL_TEST_DATA "/gguf_architectures.jsonl");
  for (std::string line; std::getline(file, line);) out.push_back({Json::parse(line)});
  return out;
}

// "0-2,5": 0, 1, 2, 5.
inline std::vector<std::string> numbered_layers(const std::string& text) {
  std::vector<std::string> out;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t dash = part.find('-');
    const int first = std::stoi(part), last = dash == std::string::npos ? first : std::stoi(part.substr(dash + 1));
    for (int layer = first; layer <= last; ++layer) out.push_back(std::to_string(layer));
  }
  return out;
}

// Numbers and lists of numbers under the architecture's name.
inline test::GgufWriter gguf_with_keys(const std::string& architecture, const Json& keys) {
  test::GgufWriter writer;
  writer.text("general.architecture", architecture);
  for (const auto& [key, value] : keys.items()) {
    const std::string name = architecture + "." + key;
    if (value.is_array()) writer.u32s(name, value.get<std::vector<std::uint32_t>>());
    else writer.u32(name, value.get<std::uint32_t>());
  }
  return writer;
}

// Vectors in float32, everything else in float16.
inline void add_half_tensor(test::GgufWriter& writer, const std::string& name, const std::vector<std::uint64_t>& dims) {
  std::uint64_t elements = 1;
  for (const std::uint64_t dim : dims) elements *= dim;
  writer.tensor(name, dims.size() > 1 ? 1 : 0, dims, elements * (dims.size() > 1 ? 2 : 4));
}

// A tensor as a file names it.
struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dims;
};

inline std::vector<GgufTensor> gguf_tensors_of(const GgufCase& c) {
  std::vector<GgufTensor> out;
  for (const Json& row : c.file["tensors"]) {
    const std::string name = row[0];
    const auto dims = row[1].get<std::vector<std::uint64_t>>();
    if (row.size() == 2) {
      out.push_back({name, dims});
      continue;
    }
    for (const std::string& layer : numbered_layers(row[2])) {
      std::string numbered = name;
      numbered.replace(numbered.find("{}"), 2, layer);
      out.push_back({std::move(numbered), dims});
    }
  }
  return out;
}

inline test::GgufWriter gguf_file_of(const GgufCase& c) {
  test::GgufWriter writer = gguf_with_keys(c.text("architecture"), c.file["keys"]);
  for (const GgufTensor& tensor : gguf_tensors_of(c)) add_half_tensor(writer, tensor.name, tensor.dims);
  return writer;
}

} // namespace plimsoll::testing
