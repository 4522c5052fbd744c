// The formulas of peak.hpp; README.md names their sources and has the worked examples.
#include "peak.hpp"

#include <algorithm>
#include <utility>

namespace vlm {

using plimsoll::Aspect;
using plimsoll::Basis;
using plimsoll::Bytes;
using plimsoll::Item;
using plimsoll::Request;
using plimsoll::Sink;

namespace {

// The encoder runs where the embeddings are: on the first stage.
void emit(const Request& request, const Sink& out, Bytes bytes, std::string formula) {
  Item item(Aspect::kVision, "vision.encoder", bytes, Basis::kHeuristic);
  item.transient("vision").formula(std::move(formula));
  if (request->pp <= 1) return out.item(item);
  const std::uint32_t group = request->tp * request->pp;
  for (std::uint32_t rank = 0; rank < request->n_ranks; ++rank)
    if (rank % group < request->tp) out.item(item.on_rank(rank));
}

} // namespace

Peak::Peak(std::string_view model_type, const Media& image) : image_(image) {
  const std::string at = "/vision/" + std::string(model_type);
  bytes_per_element_ = at + "/bytes_per_tower_element";
  tile_bytes_ = at + "/tile_bytes";
  token_bytes_ = at + "/token_bytes";
  tile_tokens_ = at + "/tokens_per_tile";
  extra_tiles_ = at + "/tiles_without_chunked_prefill";
}

void Peak::price(const Request& request, const Sink& out) const {
  if (image_.rows == 0) return;
  if (!of_batch(request, out) && !of_tiles(request, out)) of_largest_image(request, out);
}

// Every token of the batch is an image's: bytes x T x merged positions x width.
// Kimi K2.5: 20 x 8192 x 4 x 1152 = 754,974,720 per device.
bool Peak::of_batch(const Request& request, const Sink& out) const {
  const auto factor = request.engine(bytes_per_element_);
  if (!factor) return false;
  const Bytes merged = plimsoll::ceil_div(image_.tower_tokens, image_.rows);
  const Bytes bytes = Bytes(*factor) * request->max_batch_input_tokens * merged * image_.tower_elements;
  emit(request, out, bytes,
       request.formula(*factor, " B x ", request->max_batch_input_tokens, " tokens x ", merged, " patches x ", image_.tower_elements));
  return true;
}

// Tiles and tokens at a price each. InternVL, T 8192, no chunked prefill: (32 + 13) x 128 MiB + 8192 x 100 KiB = 6,878,658,560.
bool Peak::of_tiles(const Request& request, const Sink& out) const {
  const auto per_tile = request.engine(tile_bytes_), per_token = request.engine(token_bytes_), tokens = request.engine(tile_tokens_);
  if (!per_tile || !per_token || !tokens) return false;
  Bytes tiles = std::max<std::uint64_t>(1, (Bytes(request->max_batch_input_tokens) / *tokens).value());
  if (request->chunked_prefill == 0) tiles = tiles + request.engine(extra_tiles_).value_or(0);
  const Bytes bytes = tiles * *per_tile + Bytes(request->max_batch_input_tokens) * *per_token;
  emit(request, out, bytes,
       request.formula(tiles, " tiles x ", *per_tile, " B + ", request->max_batch_input_tokens, " tokens x ", *per_token, " B"));
  return true;
}

// The largest image alone, as far as one forward pass does not hold more of them.
// Qwen2.5-VL at 20 B: 65,536 positions x 1280 x 20 = 1,677,721,600.
void Peak::of_largest_image(const Request& request, const Sink& out) const {
  const auto factor = request.engine("/vision/default/bytes_per_tower_element");
  if (!factor || request->phase == PLIMSOLL_PHASE_DECODE) return;
  const Bytes images = std::max<std::uint64_t>(1, request->max_batch_input_tokens / image_.rows);
  const Bytes bytes = images * image_.tower_tokens * image_.tower_elements * *factor;
  emit(request, out, bytes,
       request.formula(images, " images x ", image_.tower_tokens, " patches x ", image_.tower_elements, " x ", *factor, " B"));
}

} // namespace vlm
