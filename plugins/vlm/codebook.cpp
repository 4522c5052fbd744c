// Networks that turn a picture into words of a codebook: Chameleon's, whose language model reads those words, and the one with which Janus
// draws, beside a SigLIP with which it sees. Made by the planner's constructor.
#include <array>

#include "listed.hpp"
#include "tensors.hpp"
#include "timm_siglip.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Sink;

// What the two call the parts of such a network.
struct CodebookNames {
  const char *down, *block, *attention, *resample_down, *resample_up;
  std::array<const char*, 3> middle;
};
constexpr CodebookNames kTaming{
    "down.", ".block.", ".attn.", ".downsample.conv", ".upsample.conv", {"mid.block_1", "mid.attn_1", "mid.block_2"}};
constexpr CodebookNames kLlamaGen{"conv_blocks.", ".res.", ".attn.", ".downsample.conv", ".upsample.conv", {"mid.0", "mid.1", "mid.2"}};

struct Codebook {
  std::vector<std::uint64_t> multipliers; // of the channels, at each size
  std::uint64_t base = 128, blocks = 2, latent = 256, channels = 3;
  bool attends_last = false, attends_middle = true; // in the blocks of the smallest size; between the middle ones
};

// Declares the parts of an encoder or a decoder under one prefix.
class Network {
public:
  Network(const Sink& out, const CodebookNames& names, std::string prefix) : out_(out, "codebook.", std::move(prefix)), names_(names) {}

  // Norm, convolution, norm, convolution; a way around where the number of channels changes.
  void residual(const std::string& name, Bytes in, Bytes width) const {
    out_.norm(name + ".norm1", in, true);
    out_.convolution(name + ".conv1", width, in, 3, true);
    out_.norm(name + ".norm2", width, true);
    out_.convolution(name + ".conv2", width, width, 3, true);
    if (in != width) out_.convolution(name + ".nin_shortcut", width, in, 1, true);
  }
  void attention(const std::string& name, Bytes width) const {
    out_.norm(name + ".norm", width, true);
    for (const char* part : {".q", ".k", ".v", ".proj_out"}) out_.convolution(name + part, width, width, 1, true);
  }
  void middle(Bytes width, bool attends) const {
    residual(names_.middle[0], width, width);
    if (attends) attention(names_.middle[1], width);
    residual(names_.middle[2], width, width);
  }
  void end(Bytes width, Bytes channels) const {
    out_.norm("norm_out", width, true);
    out_.convolution("conv_out", channels, width, 3, true);
  }
  void convolution(const std::string& name, Bytes width, Bytes in) const { out_.convolution(name, width, in, 3, true); }
  // The blocks of one size.
  void level(std::size_t number, std::uint64_t blocks, Bytes in, Bytes width, bool attends, const char* resample) const {
    const std::string name = names_.down + std::to_string(number);
    for (std::uint64_t i = 0; i < blocks; ++i) {
      residual(name + names_.block + std::to_string(i), i == 0 ? in : width, width);
      if (attends) attention(name + names_.attention + std::to_string(i), width);
    }
    if (resample != nullptr) convolution(name + resample, width, width);
  }

private:
  Tensors out_;
  const CodebookNames& names_;
};

void declare_coder(const Sink& out, const CodebookNames& names, const std::string& prefix, const Codebook& book) {
  const Network network(out, names, prefix);
  network.convolution("conv_in", book.base, book.channels);
  Bytes in = book.base;
  for (std::size_t i = 0; i < book.multipliers.size(); ++i) {
    const bool last = i + 1 == book.multipliers.size();
    const Bytes width = Bytes(book.base) * book.multipliers[i];
    network.level(i, book.blocks, in, width, last && book.attends_last, last ? nullptr : names.resample_down);
    in = width;
  }
  network.middle(in, book.attends_middle);
  network.end(in, book.latent);
}

// The way back, one block more at each size.
void declare_decoder(const Sink& out, const CodebookNames& names, const std::string& prefix, const Codebook& book) {
  const Network network(out, names, prefix);
  Bytes in = Bytes(book.base) * book.multipliers.back();
  network.convolution("conv_in", in, book.latent);
  network.middle(in, book.attends_middle);
  for (std::size_t i = 0; i < book.multipliers.size(); ++i) {
    const bool first = i == 0, last = i + 1 == book.multipliers.size();
    const Bytes width = Bytes(book.base) * book.multipliers[book.multipliers.size() - 1 - i];
    network.level(i, book.blocks + 1, in, width, first && book.attends_last, last ? nullptr : names.resample_up);
    in = width;
  }
  network.end(in, book.channels);
}

// SigLIP's kinds that the class of Janus knows by name.
struct NamedSiglip {
  std::string_view name;
  std::uint64_t width, ffn, layers, heads, patch;
};
constexpr NamedSiglip kNamed[] = {
    {"siglip_large_patch16_384", 1024, 4096, 24, 16, 16},
    {"siglip_large_patch16_256", 1024, 4096, 24, 16, 16},
    {"siglip_so400m_patch14_384", 1152, 4304, 27, 16, 14},
    {"siglip_so400m_patch14_224", 1152, 4304, 27, 16, 14},
};

TimmSiglip siglip_of(const PartKeys& params) {
  const std::string_view name = params.text("/model_name", "siglip_large_patch16_384");
  for (const NamedSiglip& row : kNamed) {
    if (row.name != name) continue;
    const std::uint64_t side =
        plimsoll::bounded(params.number("/image_size", 384), 1U << 20, "/vision_config/params/image_size") / row.patch;
    if (side == 0) params.refuse("/image_size", "is smaller than a patch of " + std::to_string(row.patch) + " pixels");
    return {plimsoll::layers_from(0, row.layers), row.width, row.ffn, row.heads, 3, row.patch, side};
  }
  throw Error(PLIMSOLL_E_UNSUPPORTED, "/vision_config/params/model_name",
              "'" + std::string(name.substr(0, 64)) +
                  "' is no tower this planner knows; known: siglip_large_patch16_384 and siglip_so400m_patch14_384");
}

void declare_pair(const Sink& out, const std::string& prefix, Bytes in, std::uint64_t depth, Bytes text) {
  const Tensors projector(out, "projector.", prefix);
  for (std::uint64_t i = 0; i < depth; ++i) projector.linear("layers." + std::to_string(2 * i), text, i == 0 ? in : text);
}

} // namespace

// 512 pixels, shrunk by 16: 1,024 words, which the language model embeds as its own.
std::unique_ptr<Tower> make_chameleon(const PartKeys& keys, std::uint64_t) {
  constexpr std::uint64_t kMostSizes = 16, kMostBlocks = 64;
  const PartKeys vq(keys.model(), "/vq_config");
  Codebook book;
  book.base = vq.positive("/base_channels");
  book.blocks = plimsoll::bounded(vq.positive("/num_res_blocks"), kMostBlocks, "/vq_config/num_res_blocks");
  book.latent = vq.positive("/latent_channels");
  book.channels = vq.positive("/in_channels");
  book.attends_middle = vq.text("/attn_type", "vanilla") == "vanilla";
  const std::uint64_t sizes = plimsoll::bounded(vq.length("/channel_multiplier"), kMostSizes, "/vq_config/channel_multiplier");
  for (std::uint64_t i = 0; i < sizes; ++i) book.multipliers.push_back(vq.positive("/channel_multiplier/" + std::to_string(i)));
  if (book.multipliers.empty()) vq.refuse("/channel_multiplier", "is missing or empty; a list of numbers was expected");
  if (vq.length("/attn_resolutions") > 0)
    vq.refuse("/attn_resolutions", "is not empty; a network without attention at these sizes was expected");
  const std::uint64_t embed = vq.positive("/embed_dim"), words = vq.positive("/num_embeddings");
  const std::uint64_t latent = vq.boolean("/double_latent", false) ? book.latent * 2 : book.latent;
  const auto list = [=](const Sink& out) {
    Codebook coder = book;
    coder.latent = latent;
    declare_coder(out, kTaming, "model.vqmodel.encoder.", coder);
    const Tensors top(out, "codebook.", "model.vqmodel.");
    top.tensor("quantize.embedding.weight", {words, embed});
    top.convolution("quant_conv", embed, book.latent, 1, true);
    top.convolution("post_quant_conv", book.latent, embed, 1, true);
  };
  const Bytes side = Bytes(vq.positive("/resolution")) / (Bytes(1ULL << (book.multipliers.size() - 1)));
  return listed(list, {(side * side).value(), (side * side).value(), (Bytes(book.base) * book.multipliers.back()).value()});
}

// 24 x 24 rows. What draws is made too, and takes memory, though no engine of texts runs it.
std::unique_ptr<Tower> make_janus(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kUsed = 65536, kWidth = 8,
                          kMostLayers = 64; // of the class: a count of used words; what a word is in the codebook
  const plimsoll::Config& model = keys.model();
  const TimmSiglip siglip = siglip_of(PartKeys(model, "/vision_config/params"));
  const auto depth_of = [&model](const char* at) { return plimsoll::bounded(model.u64(at, 2), kMostLayers, at); };
  const std::uint64_t depth = depth_of("/aligner_config/params/depth"), drawn_depth = depth_of("/gen_aligner_config/params/depth");
  const std::uint64_t words = model.positive("/gen_vision_config/params/image_token_size");
  const std::uint64_t inner = model.positive("/gen_head_config/params/image_token_embed");
  const auto list = [=](const Sink& out) {
    declare_timm_siglip(out, "vision_model.vision_tower.", siglip);
    declare_pair(out, "aligner.", siglip.width, depth, text);
    const Codebook book{.multipliers = {1, 1, 2, 2, 4}, .attends_last = true};
    declare_coder(out, kLlamaGen, "gen_vision_model.encoder.", book);
    declare_decoder(out, kLlamaGen, "gen_vision_model.decoder.", book);
    const Tensors top(out, "codebook.", "gen_vision_model."), rest(out, "drawing.", "");
    top.tensor("quantize.embedding.weight", {words, kWidth});
    top.tensor("quantize.codebook_used", {kUsed});
    top.convolution("quant_conv", kWidth, book.latent, 1, true);
    top.convolution("post_quant_conv", book.latent, kWidth, 1, true);
    declare_pair(out, "gen_aligner.", kWidth, drawn_depth, text);
    rest.linear("gen_head.output_mlp_projector", inner, text);
    rest.linear("gen_head.vision_head", words, inner);
    rest.tensor("gen_embed.weight", {words, kWidth});
  };
  const Bytes patches = Bytes(siglip.side) * siglip.side;
  return listed(list, {patches.value(), patches.value(), siglip.width});
}

} // namespace vlm
