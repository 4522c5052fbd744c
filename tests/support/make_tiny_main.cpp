// make_tiny NAME|FOLDER OUT [SEED [ADAPTER]]: writes a tiny model's config.json, model.safetensors and model.gguf to the folder OUT, for
// developers who record goldens (tests/data/tiny/README.md). Where no GGUF architecture is known it says so and leaves the last away. A
// FOLDER with a model in float32 is written again, with its GGUF file. Without arguments: the names. With the seed of an adapter, that is
// written too: as adapter.gguf, and in the folder `adapter`. blocks_TYPE is a llama whose matrices are packed in blocks of that type, as
// model.gguf alone. qwen2_vl and qwen2_5_vl are models that see, without a GGUF file. head_... are models with a head that drafts,
// likewise. SCHEME:NAME is a model that is quantised, likewise.
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "support/tiny_adapter.hpp"
#include "support/tiny_blocks.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_heads.hpp"
#include "support/tiny_model.hpp"
#include "support/tiny_quantized.hpp"
#include "support/tiny_vlm.hpp"

using namespace plimsoll::test;

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cout << "usage: make_tiny NAME|FOLDER OUT [SEED [ADAPTER]]\n";
    for (const std::string& name : tiny_model_names()) std::cout << name << "\n";
    std::cout << "qwen2_vl\nqwen2_5_vl\n";
    for (const std::string& name : tiny_head_names()) std::cout << name << "\n";
    for (const std::string& type : block_type_names()) std::cout << "blocks_" << type << "\n";
    for (const auto& [scheme, model] : quantized_models()) std::cout << scheme << ":" << model << "\n";
    return argc == 1 ? 0 : 2;
  }
  try {
    const std::string name = argv[1], out = argv[2];
    if (name.starts_with("blocks_")) {
      write_block_gguf(name.substr(7), out + "/model.gguf");
      return 0;
    }
    if (const std::size_t colon = name.find(':'); colon != std::string::npos) {
      write_quantized_folder(quantize_tiny(quantizable_tiny(name.substr(colon + 1)), name.substr(0, colon)), out);
      return 0;
    }
    if (name == "qwen2_vl" || name == "qwen2_5_vl") {
      write_tiny_folder(name == "qwen2_vl" ? tiny_vlm() : tiny_window_vlm(), out);
      std::ofstream(out + "/preprocessor_config.json") << tiny_preprocessor_config();
      return 0;
    }
    if (name.starts_with("head_")) {
      write_tiny_folder(tiny_head(name), out);
      return 0;
    }
    const TinyModel model = name.find('/') != std::string::npos ? read_tiny_folder(name)
                            : argc > 3                          ? tiny_model(name, std::strtoull(argv[3], nullptr, 10))
                                                                : tiny_model(name);
    write_tiny_folder(model, out);
    try {
      write_tiny_gguf(model, out + "/model.gguf");
    } catch (const std::runtime_error& none) {
      std::cerr << "no model.gguf: " << none.what() << "\n";
    }
    if (argc > 4) {
      const TinyAdapter adapter = tiny_adapter(model, {.seed = std::strtoull(argv[4], nullptr, 10)});
      write_tiny_adapter(adapter, out + "/adapter");
      write_tiny_adapter_gguf(model, adapter, out + "/adapter.gguf");
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
  return 0;
}
