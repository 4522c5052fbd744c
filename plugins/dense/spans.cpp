// Which layers attend to a window or a chunk. Sources, in this order: use_sliding_window false switches windows off;
// layer_types lists them; sliding_window_pattern counts them; else the class of the model_type knows. Worked example:
// gemma-3-1b, 26 layers, pattern 6: layers 5, 11, 17, 23 are full, 22 have windows of 512. Threads: pure.
#include <string>

#include "model.hpp"

namespace dense {

using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvKind;

namespace {

// "LLLG": local, local, local, global, and again. False where there is no such key.
bool read_letters(const Config& config, std::string_view pointer, Span window, std::vector<Layer>& layers) {
  // A number under the same key is another way of saying it.
  if (config.is_u64(pointer) || !config.has(pointer)) return false;
  const std::string_view letters = config.str(pointer, "");
  if (letters.empty() || letters.find_first_not_of("LG") != std::string_view::npos)
    throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "a number or a string of L (local) and G (global) was expected");
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (letters[i % letters.size()] == 'L') layers[i].span = window;
  return true;
}

// All but each n-th.
void every_nth_is_full(std::uint64_t n, Span window, std::vector<Layer>& layers) {
  if (n == 0) return;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if ((i + 1) % n != 0) layers[i].span = window;
}

bool read_layer_types(const Config& config, Span window, Span chunk, std::vector<Layer>& layers) {
  const auto types = config.str_list("/layer_types");
  if (types.empty()) return false;
  // Some lists go on with the draft layers.
  if (types.size() != layers.size() && types.size() != layers.size() + config.u64("/num_nextn_predict_layers", 0))
    throw Error(PLIMSOLL_E_CONFIG, "/layer_types",
                "has " + std::to_string(types.size()) + " entries; one for each of the " + std::to_string(layers.size()) +
                    " layers was expected");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (types[i] == "sliding_attention") layers[i].span = window;
    else if (types[i] == "chunked_attention") layers[i].span = chunk;
    else if (types[i] != "full_attention")
      throw Error(PLIMSOLL_E_CONFIG, "/layer_types/" + std::to_string(i),
                  "is \"" + std::string(types[i].substr(0, 40)) +
                      "\"; full_attention, sliding_attention or chunked_attention was expected");
  }
  return true;
}

// Llama 4: layers with rotary embedding attend to their chunk; a 1 in no_rope_layers means that the layer has it.
void read_rope_layers(const Config& config, Span chunk, std::vector<Layer>& layers) {
  const auto has_rope = config.u64_list("/no_rope_layers");
  if (has_rope.empty()) return every_nth_is_full(config.u64("/no_rope_layer_interval", 4), chunk, layers);
  if (has_rope.size() != layers.size())
    throw Error(PLIMSOLL_E_CONFIG, "/no_rope_layers",
                "has " + std::to_string(has_rope.size()) + " entries; none or " + std::to_string(layers.size()) + " were expected");
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (has_rope[i] != 0) layers[i].span = chunk;
}

Span span_of(KvKind kind, std::uint64_t tokens) { return tokens == 0 ? Span{} : Span{kind, tokens}; }

} // namespace

void read_spans(const Config& config, Window rule, std::vector<Layer>& layers) {
  const bool off = !config.boolean("/use_sliding_window", rule != Window::kUpper);
  const Span window = span_of(KvKind::kWindow, off ? 0 : config.find_u64_of({"/sliding_window", "/window_size"}).value_or(0));
  const Span chunk = span_of(KvKind::kChunk, rule == Window::kChunk ? config.u64("/attention_chunk_size", 0) : 0);
  if (rule == Window::kNone || read_layer_types(config, window, chunk, layers)) return;
  switch (rule) {
  case Window::kNone: break;
  case Window::kAll: every_nth_is_full(layers.size() + 1, window, layers); break;
  case Window::kEven: every_nth_is_full(2, window, layers); break;
  case Window::kChunk: read_rope_layers(config, chunk, layers); break;
  case Window::kUpper:
    for (std::uint64_t i = config.u64("/max_window_layers", layers.size()); i < layers.size(); ++i) layers[i].span = window;
    break;
  case Window::kPattern:
    if (!read_letters(config, "/sliding_window_pattern", window, layers)) {
      const auto n = config.find_u64_of({"/_sliding_window_pattern", "/sliding_window_pattern"});
      every_nth_is_full(n.value_or(0), window, layers);
    }
    break;
  }
}

} // namespace dense
